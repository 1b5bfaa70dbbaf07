/*
 * report_curves.c - the parts of a report that need rows: ROC by domain, and
 * whether probabilities mean what they say.
 */
#include "postgres.h"

#include <math.h>

#include "report.h"

#define ROC_POINTS 81
#define ROC_TABLE_STEPS 10
#define BINS 15
#define CHART_HEIGHT 360

/* Scores and labels of the figures' rows, side by side. */
static void
Gather(const Report *report, const ReportFigures *figures, float **scores, float **labels)
{
	const ScoredRows *scored = report->rows.scored;
	const Size *order = scored->order + figures->first;

	*scores = palloc_extended(Max(figures->rows, 1) * sizeof(float), MCXT_ALLOC_HUGE);
	*labels = palloc_extended(Max(figures->rows, 1) * sizeof(float), MCXT_ALLOC_HUGE);
	for (Size i = 0; i < figures->rows; i++)
	{
		(*scores)[i] = report->rows.scores[report->facts.served][order[i]];
		(*labels)[i] = scored->labels[order[i]];
	}
}

/* ----------------------------------------------------------------------- ROC */

/* A curve as the chart wants it; without points where there is none. */
static ChartSeries
RocSeries(Report *report, const ReportFigures *figures, const char *name, int color)
{
	mml_curve_point curve[ROC_POINTS];
	ChartPoint *points = palloc(ROC_POINTS * sizeof(ChartPoint));
	float	   *scores;
	float	   *labels;
	int			n_points;

	Gather(report, figures, &scores, &labels);
	BridgeCheck(report->host, mml_roc(report->host, scores, labels, figures->rows, curve, ROC_POINTS, &n_points));
	for (int i = 0; i < n_points; i++)
		points[i] = (ChartPoint) {curve[i].x, curve[i].y, NAN, NAN};
	pfree(scores);
	pfree(labels);
	return (ChartSeries) {.name = name, .color = color, .points = points, .n_points = n_points, .marked = -1};
}

/* The share of positives where the curve has this share of negatives. */
static double
HeightAt(const ChartSeries *series, double x)
{
	for (int i = 1; i < series->n_points; i++)
	{
		const ChartPoint *from = &series->points[i - 1];
		const ChartPoint *to = &series->points[i];

		if (to->x >= x && to->x > from->x)
			return from->y + (to->y - from->y) * Max(x - from->x, 0.0) / (to->x - from->x);
	}
	return NAN;
}

static void
PutRocTable(Report *report, const ChartSeries *series, int n_series)
{
	StringInfo	html = report->page.html;

	HtmlTableBegin(html, "Share of the positives found, by share of the negatives taken along");
	HtmlColumn(html, "domain", false);
	for (int i = 1; i < ROC_TABLE_STEPS; i++)
		HtmlColumn(html, psprintf("%d%%", 100 * i / ROC_TABLE_STEPS), true);
	HtmlRowsBegin(html);
	for (int s = 0; s < n_series; s++)
	{
		HtmlRowBegin(html);
		HtmlHeadCell(html, series[s].name);
		for (int i = 1; i < ROC_TABLE_STEPS; i++)
			HtmlNumberCell(html, HumanShare(HeightAt(&series[s], (double) i / ROC_TABLE_STEPS)));
		HtmlRowEnd(html);
	}
	HtmlTableEnd(html);
}

void
ReportRoc(Report *report)
{
	const ReportRows *rows = &report->rows;
	ChartSeries series[REPORT_CURVES + 1];
	LineChart	chart = {
		.text = {"ROC curves", "For each domain, the share of the positives that score above a border, over that of the negatives."},
		.x_title = "share of the negatives above the border",
		.y_title = "share of the positives above it",
		.height = CHART_HEIGHT,
		.is_unit = true,
		.has_diagonal = true,
		.series = series,
	};
	int			n_shown = Min(rows->n_domains, REPORT_CURVES);

	ReportPartBegin(report, "roc", "ROC curves", REPORT_HALF);
	appendStringInfoString(report->page.html, "<p>Which share of the positives is found when rows are taken from the highest "
						   "score down, and which share of the negatives comes along. The dashed diagonal is chance; the area "
						   "under a curve is its AUC.</p>\n");
	series[chart.n_series++] = RocSeries(report, &rows->all, "all rows", 0);
	for (int i = 0; i < n_shown && rows->n_domains > 1; i++)
		series[chart.n_series++] = RocSeries(report, &rows->domains[i], rows->domains[i].name, i + 1);
	ReportFigureBegin(report);
	ChartLines(&report->page, &chart);
	ReportFigureEnd(report);
	ReportLeftOut(report, "Domains with the most rows", n_shown, rows->n_domains);
	ReportNumbersBegin(report);
	PutRocTable(report, series, chart.n_series);
	ReportNumbersEnd(report);
	ReportPartEnd(report);
}

/* --------------------------------------------------------------- calibration */

static void
PutBinsTable(Report *report, const mml_reliability_bin *bins, int n_bins)
{
	StringInfo	html = report->page.html;

	HtmlTableBegin(html, "Rows by how high they scored");
	HtmlColumn(html, "mean score", false);
	HtmlColumn(html, "rows", true);
	HtmlColumn(html, "positive", true);
	HtmlColumn(html, "95% between", true);
	HtmlRowsBegin(html);
	for (int b = 0; b < n_bins; b++)
	{
		HtmlRowBegin(html);
		HtmlHeadCell(html, HumanShare(bins[b].score));
		HtmlNumberCell(html, HumanCount((int64) bins[b].rows));
		HtmlNumberCell(html, HumanShare(bins[b].label));
		HtmlNumberCell(html, psprintf("%s and %s", HumanShare(bins[b].low), HumanShare(bins[b].high)));
		HtmlRowEnd(html);
	}
	HtmlTableEnd(html);
}

/* What the curve says, in words. */
static void
TellCalibration(Report *report, const mml_reliability_bin *bins, int n_bins)
{
	double		distance = 0.0;
	int			n_within = 0;

	for (int b = 0; b < n_bins; b++)
	{
		distance += fabs(bins[b].score - bins[b].label) * bins[b].rows;
		n_within += bins[b].low <= bins[b].score && bins[b].score <= bins[b].high;
	}
	appendStringInfo(report->page.html, "<p>Are scores probabilities: of rows that score 30%%, are 30%% positive? Each dot is "
					 "a group of rows that score alike; the line through it is what luck of the rows explains (95%%). %d of %d "
					 "groups reach the diagonal, and on average they lie %s off. Over all rows the mean score is %s times the "
					 "share of positives.</p>\n", n_within, n_bins, HumanShare(distance / report->rows.all.rows),
					 HumanFigure(report->rows.all.calibration, 3));
}

void
ReportCalibration(Report *report)
{
	mml_reliability_bin bins[BINS];
	ChartPoint	points[BINS];
	ChartSeries series = {.name = "all rows", .color = 1, .points = points, .marked = -1, .has_dots = true};
	LineChart	chart = {
		.text = {"Calibration", "Share of positives over mean score, for groups of rows that score alike."},
		.x_title = "mean score",
		.y_title = "share of positives",
		.height = CHART_HEIGHT,
		.is_square = true,
		.has_diagonal = true,
		.series = &series,
		.n_series = 1,
	};
	float	   *scores;
	float	   *labels;

	Gather(report, &report->rows.all, &scores, &labels);
	BridgeCheck(report->host, mml_reliability(report->host, scores, labels, report->rows.all.rows, bins, BINS,
											  &series.n_points));
	for (int b = 0; b < series.n_points; b++)
		points[b] = (ChartPoint) {bins[b].score, bins[b].label, bins[b].low, bins[b].high};
	pfree(scores);
	pfree(labels);
	ReportPartBegin(report, "calibration", "Calibration", REPORT_HALF);
	TellCalibration(report, bins, series.n_points);
	ReportFigureBegin(report);
	ChartLines(&report->page, &chart);
	ReportFigureEnd(report);
	ReportNumbersBegin(report);
	PutBinsTable(report, bins, series.n_points);
	ReportNumbersEnd(report);
	ReportPartEnd(report);
}
