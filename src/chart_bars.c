/*
 * chart_bars.c - groups of bars that lie, each with its name above and its value
 * behind, see chart.h.
 */
#include "postgres.h"

#include <math.h>

#include "chart.h"
#include "html.h"

#define LEFT 4
#define RIGHT 50				/* room for a value */
#define NAME_HEIGHT 17
#define BAR_HEIGHT 12
#define BAR_GAP 2
#define GROUP_GAP 10
#define BOTTOM 40
#define STEPS 5

static double
GroupHeight(const BarChart *chart)
{
	return NAME_HEIGHT + chart->n_bars * (BAR_HEIGHT + BAR_GAP) + GROUP_GAP;
}

/* Whiskers too. */
static void
InitScale(const BarChart *chart, ChartScale *scale)
{
	double		low = chart->baseline;
	double		high = chart->baseline;

	for (int g = 0; g < chart->n_groups; g++)
	{
		for (int b = 0; b < chart->n_bars; b++)
		{
			double		value = chart->groups[g].values[b];
			double		error = isnan(chart->groups[g].errors[b]) ? 0.0 : chart->groups[g].errors[b];

			if (isnan(value))
				continue;
			low = Min(low, value - error);
			high = Max(high, value + error);
		}
	}
	ChartScaleInit(scale, low, high, STEPS);
	scale->from = LEFT;
	scale->to = CHART_WIDTH - RIGHT;
}

static void
DrawAxis(ChartPage *page, const BarChart *chart, const ChartScale *scale, double bottom)
{
	for (int i = 0; i < ChartScaleTicks(scale); i++)
	{
		double		tick = ChartScaleTick(scale, i);
		double		place = ChartScalePlace(scale, tick);

		appendStringInfo(page->html, "<path class=\"grid\" d=\"M%.1f 2V%.1f\"/>", place, bottom);
		ChartLabel(page, place, bottom + 15, i == 0 ? "" : "m", psprintf("%.*f", scale->decimals, tick));
	}
	ChartLabel(page, (scale->from + scale->to) / 2.0, bottom + 34, "m t", chart->axis_title);
}

static void
DrawBar(ChartPage *page, const BarChart *chart, const ChartGroup *group, int bar, const ChartScale *scale, double top)
{
	double		value = group->values[bar];
	double		error = isnan(group->errors[bar]) ? 0.0 : group->errors[bar];
	double		zero = ChartScalePlace(scale, chart->baseline);
	double		end = ChartScalePlace(scale, value);
	double		right = Max(zero, ChartScalePlace(scale, Max(value + error, value)));

	if (isnan(value))
	{
		ChartLabel(page, zero + 4, top + BAR_HEIGHT - 2, "v", "not defined");
		return;
	}
	appendStringInfo(page->html, "<rect class=\"bar c%d\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" rx=\"1.5\">"
					 "<title>", chart->colors[bar], Min(zero, end), top, Max(fabs(end - zero), 0.8), BAR_HEIGHT);
	HtmlFitted(page->html, group->name, HTML_NAME_WIDTH);
	appendStringInfo(page->html, ", %s: %.*f</title></rect>", chart->bars[bar], chart->decimals, value);
	if (error > 0.0)
		appendStringInfo(page->html, "<path class=\"whisker ink\" d=\"M%.1f %.1fH%.1f\"/>",
						 ChartScalePlace(scale, value - error), top + BAR_HEIGHT / 2.0,
						 ChartScalePlace(scale, value + error));
	ChartLabel(page, right + 4, top + BAR_HEIGHT - 2, "v", psprintf("%.*f", chart->decimals, value));
}

static void
PutLegend(ChartPage *page, const BarChart *chart)
{
	appendStringInfoString(page->html, "<ul class=\"legend\">");
	for (int b = 0; b < chart->n_bars; b++)
		appendStringInfo(page->html, "<li><svg viewBox=\"0 0 12 12\" class=\"box\" aria-hidden=\"true\"><rect class=\"bar c%d\" "
						 "width=\"12\" height=\"12\" rx=\"2\"/></svg>%s</li>", chart->colors[b], chart->bars[b]);
	appendStringInfoString(page->html, "</ul>\n");
}

void
ChartBars(ChartPage *page, const BarChart *chart)
{
	double		bottom = chart->n_groups * GroupHeight(chart);
	ChartScale	scale;

	InitScale(chart, &scale);
	if (chart->n_bars > 1)
		PutLegend(page, chart);
	ChartBegin(page, &chart->text, bottom + BOTTOM);
	DrawAxis(page, chart, &scale, bottom);
	for (int g = 0; g < chart->n_groups; g++)
	{
		double		top = g * GroupHeight(chart);

		ChartName(page, LEFT, top + NAME_HEIGHT - 4, "name", chart->groups[g].name,
				  CHART_WIDTH - 2 * LEFT);
		for (int b = 0; b < chart->n_bars; b++)
			DrawBar(page, chart, &chart->groups[g], b, &scale, top + NAME_HEIGHT + b * (BAR_HEIGHT + BAR_GAP));
		appendStringInfo(page->html, "<path class=\"axis\" d=\"M%.1f %.1fv%.1f\"/>", ChartScalePlace(&scale, chart->baseline),
						 top + NAME_HEIGHT - 1, chart->n_bars * (BAR_HEIGHT + BAR_GAP) + 0.0);
	}
	ChartEnd(page);
}
