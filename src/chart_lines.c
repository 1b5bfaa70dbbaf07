/*
 * chart_lines.c - lines over two axes, with a legend below, see chart.h.
 */
#include "postgres.h"

#include <math.h>

#include "chart.h"
#include "html.h"

#define TITLE_WIDTH 22			/* of what is written along the y axis */
#define DIGIT_WIDTH 7
#define RIGHT 12
#define TOP 12
#define BOTTOM 42
#define X_STEPS 5
#define Y_STEPS 5
#define DOT 2.6
#define MARK 4.5
#define LEGEND_WIDTH 20.0			/* of a name there, in ems */

/* The part of an axis that values take. */
typedef struct Extent
{
	double		low;
	double		high;
} Extent;

static void
Include(Extent *extent, double value)
{
	if (isnan(value))
		return;
	extent->low = Min(extent->low, value);
	extent->high = Max(extent->high, value);
}

static void
FindExtents(const LineChart *chart, Extent *x, Extent *y)
{
	*x = *y = (Extent) {INFINITY, -INFINITY};
	for (int s = 0; s < chart->n_series; s++)
	{
		for (int i = 0; i < chart->series[s].n_points; i++)
		{
			const ChartPoint *point = &chart->series[s].points[i];

			Include(x, point->x);
			Include(y, point->y);
			Include(y, point->low);
			Include(y, point->high);
		}
	}
	if (chart->is_unit || x->low > x->high || y->low > y->high)
		*x = *y = (Extent) {0.0, 1.0};
	if (chart->is_square)
	{
		x->low = y->low = Min(x->low, y->low);
		x->high = y->high = Max(x->high, y->high);
	}
}

/* Characters of the longest tick. */
static int
LabelLength(const ChartScale *scale)
{
	int			longest = 0;

	for (int i = 0; i < ChartScaleTicks(scale); i++)
		longest = Max(longest, (int) strlen(psprintf("%.*f", scale->decimals, ChartScaleTick(scale, i))));
	return longest;
}

static void
DrawAxes(ChartPage *page, const LineChart *chart, const ChartScale *x, const ChartScale *y)
{
	for (int i = 0; i < ChartScaleTicks(y); i++)
	{
		double		tick = ChartScaleTick(y, i);
		double		place = ChartScalePlace(y, tick);

		appendStringInfo(page->html, "<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/>", x->from, place, x->to);
		ChartLabel(page, x->from - 6, place + 4, "e", psprintf("%.*f", y->decimals, tick));
	}
	for (int i = 0; i < ChartScaleTicks(x); i++)
	{
		double		tick = ChartScaleTick(x, i);
		double		place = ChartScalePlace(x, tick);

		appendStringInfo(page->html, "<path class=\"grid\" d=\"M%.1f %.1fV%.1f\"/>", place, y->from, y->to);
		ChartLabel(page, place, y->from + 16, "m", psprintf("%.*f", x->decimals, tick));
	}
	ChartLabel(page, (x->from + x->to) / 2.0, chart->height - 5, "m t", chart->x_title);
	appendStringInfo(page->html, "<text class=\"m t\" transform=\"translate(12 %.1f) rotate(-90)\">%s</text>\n",
					 (y->from + y->to) / 2.0, chart->y_title);
}

static void
DrawLine(ChartPage *page, const ChartSeries *series, const ChartScale *x, const ChartScale *y)
{
	char		verb = 'M';

	appendStringInfo(page->html, "<path class=\"line c%d\" d=\"", series->color);
	for (int i = 0; i < series->n_points; i++)
	{
		const ChartPoint *point = &series->points[i];

		if (isnan(point->x) || isnan(point->y))
		{
			verb = 'M';
			continue;
		}
		appendStringInfo(page->html, "%c%.1f %.1f", verb, ChartScalePlace(x, point->x), ChartScalePlace(y, point->y));
		verb = 'L';
	}
	appendStringInfoString(page->html, "\"/>\n");
}

/* Dots, whiskers and the mark. */
static void
DrawPoints(ChartPage *page, const ChartSeries *series, const ChartScale *x, const ChartScale *y)
{
	for (int i = 0; i < series->n_points; i++)
	{
		const ChartPoint *point = &series->points[i];
		double		across = ChartScalePlace(x, point->x);

		if (isnan(point->x) || isnan(point->y))
			continue;
		if (!isnan(point->low) && !isnan(point->high))
			appendStringInfo(page->html, "<path class=\"whisker c%d\" d=\"M%.1f %.1fV%.1f\"/>", series->color, across,
							 ChartScalePlace(y, point->low), ChartScalePlace(y, point->high));
		if (series->has_dots || i == series->marked)
			appendStringInfo(page->html, "<circle class=\"%s c%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\"/>\n",
							 i == series->marked ? "mark" : "dot", series->color, across,
							 ChartScalePlace(y, point->y), i == series->marked ? MARK : DOT);
	}
}

static void
PutLegend(ChartPage *page, const LineChart *chart)
{
	appendStringInfoString(page->html, "<ul class=\"legend\">");
	for (int s = 0; s < chart->n_series; s++)
	{
		appendStringInfo(page->html, "<li><svg viewBox=\"0 0 26 8\" aria-hidden=\"true\"><path class=\"line c%d\" "
						 "d=\"M1 4H25\"/></svg>", chart->series[s].color);
		appendStringInfoString(page->html, "<bdi>");
		HtmlFitted(page->html, chart->series[s].name, LEGEND_WIDTH);
		appendStringInfoString(page->html, "</bdi></li>");
	}
	appendStringInfoString(page->html, "</ul>\n");
}

void
ChartLines(ChartPage *page, const LineChart *chart)
{
	Extent		across;
	Extent		up;
	ChartScale	x;
	ChartScale	y;

	FindExtents(chart, &across, &up);
	ChartScaleInit(&x, across.low, across.high, X_STEPS);
	ChartScaleInit(&y, up.low, up.high, Y_STEPS);
	x.from = TITLE_WIDTH + DIGIT_WIDTH * LabelLength(&y);
	x.to = CHART_WIDTH - RIGHT;
	y.from = chart->height - BOTTOM;
	y.to = TOP;
	ChartBegin(page, &chart->text, chart->height);
	DrawAxes(page, chart, &x, &y);
	if (chart->has_diagonal)
		appendStringInfo(page->html, "<path class=\"guide\" d=\"M%.1f %.1fL%.1f %.1f\"/>", x.from, y.from, x.to, y.to);
	for (int s = chart->n_series - 1; s >= 0; s--)	/* the first one on top */
	{
		DrawLine(page, &chart->series[s], &x, &y);
		DrawPoints(page, &chart->series[s], &x, &y);
	}
	ChartEnd(page);
	if (chart->n_series > 1)
		PutLegend(page, chart);
}
