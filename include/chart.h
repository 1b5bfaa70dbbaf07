/*
 * chart.h - private to chart_*.c and report_*.c: pictures as inline SVG.
 *
 * A chart knows numbers and names, and nothing of models.  Its texts are ours
 * unless a comment says that they are names, which may be anybody's.  Colours
 * are classes c0, c1, ... of the page's style, which has them for light and dark;
 * series differ by dashes too.  A chart is CHART_WIDTH units wide and grows with
 * the page: a unit is about a pixel on a phone.  Values that are NaN are not drawn.
 */
#ifndef MOEMLORA_CHART_H
#define MOEMLORA_CHART_H

#include "lib/stringinfo.h"		/* for StringInfo */

#include "moemlora.h"

#define CHART_WIDTH 400
#define CHART_COLORS 8			/* classes c0 .. c7 */
#define CHART_BARS 3			/* of a group, at most */

/* What is written into, and how many pictures it has: their parts are known by numbers. */
typedef struct ChartPage
{
	StringInfo	html;
	int			n_charts;
} ChartPage;

/* What a reader who does not see the picture is told. */
typedef struct ChartText
{
	const char *title;
	const char *description;
} ChartText;

/* ------------------------------------------------------------- chart_scale.c */

/* Values low .. high at places from .. to, with ticks at multiples of step. */
typedef struct ChartScale
{
	double		low;
	double		high;
	double		step;
	int			decimals;		/* that ticks need */
	double		from;
	double		to;
} ChartScale;

/* Widens low .. high to whole steps, of which there are about n_steps. */
extern void ChartScaleInit(ChartScale *scale, double low, double high, int n_steps);
extern double ChartScalePlace(const ChartScale *scale, double value);

/* Ticks are numbered from 0. */
extern int	ChartScaleTicks(const ChartScale *scale);
extern double ChartScaleTick(const ChartScale *scale, int tick);

/* The picture around all charts. */
extern void ChartBegin(ChartPage *page, const ChartText *text, double height);
extern void ChartEnd(ChartPage *page);

/* Text of ours at a place; class: of the page's style. */
extern void ChartLabel(ChartPage *page, double x, double y, const char *class, const char *text);

/* Names have class "name", whose font has this size. */
#define CHART_NAME_SIZE 13

/* A name at a place, cut off where it gets wider than that. */
extern void ChartName(ChartPage *page, double x, double y, const char *class, const char *name, double width);

/* ------------------------------------------------------------- chart_lines.c */

typedef struct ChartPoint
{
	double		x;
	double		y;
	double		low;			/* bounds of y, drawn where they are not NaN */
	double		high;
} ChartPoint;

typedef struct ChartSeries
{
	const char *name;			/* anybody's */
	int			color;
	const ChartPoint *points;
	int			n_points;
	int			marked;			/* the point to mark; -1: none */
	bool		has_dots;
} ChartSeries;

typedef struct LineChart
{
	ChartText	text;
	const char *x_title;
	const char *y_title;
	double		height;
	bool		is_unit;		/* both axes are 0 .. 1 */
	bool		is_square;		/* both axes are the same, as wide as the values need */
	bool		has_diagonal;
	const ChartSeries *series;
	int			n_series;
} LineChart;

extern void ChartLines(ChartPage *page, const LineChart *chart);

/* -------------------------------------------------------------- chart_bars.c */

typedef struct ChartGroup
{
	const char *name;			/* anybody's */
	double		values[CHART_BARS];
	double		errors[CHART_BARS]; /* half the length of a whisker; NaN or 0: none */
} ChartGroup;

typedef struct BarChart
{
	ChartText	text;
	const char *axis_title;
	const char *bars[CHART_BARS];	/* names of ours */
	int			colors[CHART_BARS];
	int			n_bars;
	double		baseline;		/* where bars begin */
	int			decimals;
	const ChartGroup *groups;
	int			n_groups;
} BarChart;

extern void ChartBars(ChartPage *page, const BarChart *chart);

/* -------------------------------------------------------------- chart_heat.c */

typedef struct HeatChart
{
	ChartText	text;
	const char **rows;			/* [n_rows] anybody's, as columns are */
	const char **columns;		/* [n_columns] */
	int			n_rows;
	int			n_columns;
	const float *values;		/* [n_rows, n_columns] in 0 .. 1 */
	const bool *is_framed;		/* [n_rows, n_columns] */
} HeatChart;

extern void ChartHeat(ChartPage *page, const HeatChart *chart);

#endif							/* MOEMLORA_CHART_H */
