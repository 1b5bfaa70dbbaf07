/*
 * chart_scale.c - axes with round numbers, and what all pictures have, see chart.h.
 */
#include "postgres.h"

#include <math.h>

#include "chart.h"
#include "html.h"

/* The least of 1, 2, 5 times a power of ten that is not below `step`. */
static double
RoundStep(double step, int *decimals)
{
	double		exponent = floor(log10(step));
	double		power = pow(10.0, exponent);
	double		factor = step / power;
	double		rounded = factor <= 1.0 + 1e-9 ? 1.0 : factor <= 2.0 + 1e-9 ? 2.0 : factor <= 5.0 + 1e-9 ? 5.0 : 10.0;

	if (rounded == 10.0)
		exponent += 1.0;
	*decimals = exponent < 0.0 ? (int) -exponent : 0;
	return rounded * power;
}

void
ChartScaleInit(ChartScale *scale, double low, double high, int n_steps)
{
	double		least = Max(Max(fabs(low), fabs(high)) * 1e-6, 1e-9);

	if (high - low < least)
	{
		high += least;
		low -= least;
	}
	scale->step = RoundStep((high - low) / n_steps, &scale->decimals);
	scale->low = floor(low / scale->step + 1e-6) * scale->step;
	scale->high = ceil(high / scale->step - 1e-6) * scale->step;
	scale->from = 0.0;
	scale->to = 1.0;
}

double
ChartScalePlace(const ChartScale *scale, double value)
{
	return scale->from + (value - scale->low) / (scale->high - scale->low) * (scale->to - scale->from);
}

int
ChartScaleTicks(const ChartScale *scale)
{
	return (int) rint((scale->high - scale->low) / scale->step) + 1;
}

double
ChartScaleTick(const ChartScale *scale, int tick)
{
	return scale->low + tick * scale->step + 0.0;
}

void
ChartBegin(ChartPage *page, const ChartText *text, double height)
{
	int			number = ++page->n_charts;

	appendStringInfo(page->html,
					 "<svg viewBox=\"0 0 %d %.0f\" role=\"img\" aria-labelledby=\"t%d d%d\">"
					 "<title id=\"t%d\">%s</title><desc id=\"d%d\">%s</desc>\n",
					 CHART_WIDTH, height, number, number, number, text->title, number, text->description);
}

void
ChartEnd(ChartPage *page)
{
	appendStringInfoString(page->html, "</svg>\n");
}

void
ChartLabel(ChartPage *page, double x, double y, const char *class, const char *text)
{
	appendStringInfo(page->html, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\">%s</text>\n", x, y, class, text);
}

void
ChartName(ChartPage *page, double x, double y, const char *class, const char *name, double width)
{
	appendStringInfo(page->html, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\">", x, y, class);
	HtmlFitted(page->html, name, width / CHART_NAME_SIZE);
	appendStringInfoString(page->html, "</text>\n");
}
