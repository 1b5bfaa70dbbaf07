/*
 * report_importance.c - the part of a report about features: what the model would
 * lose without each of them.
 */
#include "postgres.h"

#include <math.h>

#include "importance.h"
#include "report.h"

/* Rows of the sample, and scored rows that it may cost: fewer rows where there are many features. */
#define MOST_ROWS 20000
#define LEAST_ROWS 2000
#define MOST_SCORED 4000000

/* A feature with what is lost over all rows, then in the domains told. */
typedef struct Importance
{
	const char *feature;
	mml_importance all;
	double		by_domain[REPORT_CURVES];
} Importance;

struct ReportImportance
{
	Importance *features;		/* [n_features] the largest first */
	int			n_features;
	const char *domains[REPORT_CURVES];
	int			n_domains;
	int			all_domains;
	Size		rows;			/* of the sample */
	uint64		seen;
};

/* Largest first; what is not defined last. */
static int
CompareImportances(const void *a, const void *b)
{
	const Importance *left = a;
	const Importance *right = b;
	double		x = isnan(left->all.lost) ? -INFINITY : left->all.lost;
	double		y = isnan(right->all.lost) ? -INFINITY : right->all.lost;

	if (x != y)
		return x > y ? -1 : 1;
	return strcmp(left->feature, right->feature);
}

/* Places of the domains with the most rows, most first. */
static int
LargestDomains(const ImportanceJob *job, int *places)
{
	int			n_places = 0;

	for (int i = 0; i < job->list.n; i++)
	{
		int			at = n_places;

		while (at > 0 && job->domain_rows[places[at - 1]] < job->domain_rows[i])
			at--;
		if (at == REPORT_CURVES)
			continue;
		n_places = Min(n_places + 1, REPORT_CURVES);
		memmove(places + at + 1, places + at, (n_places - 1 - at) * sizeof(int));
		places[at] = i;
	}
	return n_places;
}

/* Permutes each feature in the sample. */
static void
Permute(ImportanceJob *job, ReportImportance *importance)
{
	mml_importance *figures = palloc_extended(((Size) job->list.n + 1) * sizeof(mml_importance), MCXT_ALLOC_HUGE);
	int			places[REPORT_CURVES];

	importance->n_features = mml_model_features(job->model);
	importance->features = palloc0(importance->n_features * sizeof(Importance));
	importance->n_domains = LargestDomains(job, places);
	importance->all_domains = job->list.n;
	for (int d = 0; d < importance->n_domains; d++)
		importance->domains[d] = job->list.names[places[d]].bytes;
	for (int i = 0; i < importance->n_features; i++)
	{
		Importance *feature = &importance->features[i];
		mml_field_spec spec;

		mml_model_feature(job->model, i, &spec);
		BridgeCheck(job->host, mml_sample_importance(job->sample, job->scorer, i, figures));
		feature->feature = spec.name;
		feature->all = figures[job->list.n];
		for (int d = 0; d < importance->n_domains; d++)
			feature->by_domain[d] = figures[places[d]].lost;
	}
	qsort(importance->features, importance->n_features, sizeof(Importance), CompareImportances);
	pfree(figures);
}

void
ReportImportanceRead(Report *report, const char *query)
{
	int			n_features = mml_model_features(report->model);
	int			most_rows = Min(Max(MOST_SCORED / (MML_PERMUTATIONS * Max(n_features, 1)), LEAST_ROWS), MOST_ROWS);
	ImportanceJob job;

	ImportanceBegin(&job, report->context, report->host, report->model, most_rows);
	ImportanceRead(&job, query, report->stored.label, report->stored.domain);
	if (mml_sample_count(job.sample) > 0)
	{
		report->importance = palloc0(sizeof(ReportImportance));
		report->importance->rows = mml_sample_count(job.sample);
		report->importance->seen = mml_sample_seen(job.sample);
		Permute(&job, report->importance);
	}
	mml_sample_free(job.sample);
	mml_scorer_free(job.scorer);
}

static void
Draw(Report *report, int n_shown)
{
	const ReportImportance *importance = report->importance;
	ChartGroup *groups = palloc0(n_shown * sizeof(ChartGroup));
	BarChart	chart = {
		.text = {"Importance of features", "Bars of the AUC that is lost when the values of a feature are permuted."},
		.axis_title = "AUC lost",
		.bars = {"AUC lost"},
		.colors = {1},
		.n_bars = 1,
		.baseline = 0.0,
		.decimals = 4,
		.groups = groups,
		.n_groups = n_shown,
	};

	for (int i = 0; i < n_shown; i++)
	{
		groups[i].name = importance->features[i].feature;
		groups[i].values[0] = importance->features[i].all.lost;
		groups[i].errors[0] = REPORT_LUCK * importance->features[i].all.error;
	}
	ReportFigureBegin(report);
	ChartBars(&report->page, &chart);
	ReportFigureEnd(report);
}

static void
PutTable(Report *report, int n_shown)
{
	const ReportImportance *importance = report->importance;
	StringInfo	html = report->page.html;

	HtmlTableBegin(html, "AUC lost without a feature, over all rows and in domains");
	HtmlColumn(html, "feature", false);
	HtmlColumn(html, "all rows", true);
	HtmlColumn(html, "standard error", true);
	for (int d = 0; d < importance->n_domains; d++)
	{
		appendStringInfoString(html, "<th scope=\"col\" class=\"n\">");
		HtmlName(html, importance->domains[d]);
		appendStringInfoString(html, "</th>");
	}
	HtmlRowsBegin(html);
	for (int i = 0; i < n_shown; i++)
	{
		const Importance *feature = &importance->features[i];

		HtmlRowBegin(html);
		HtmlHeadCell(html, feature->feature);
		HtmlNumberCell(html, HumanFigure(feature->all.lost, 4));
		HtmlNumberCell(html, HumanFigure(feature->all.error, 4));
		for (int d = 0; d < importance->n_domains; d++)
			HtmlNumberCell(html, HumanFigure(feature->by_domain[d], 4));
		HtmlRowEnd(html);
	}
	HtmlTableEnd(html);
}

void
ReportFeatures(Report *report)
{
	const ReportImportance *importance = report->importance;
	int			n_bars = Min(importance->n_features, REPORT_BARS);
	int			n_rows = Min(importance->n_features, REPORT_TABLE);

	ReportPartBegin(report, "features", "What features are worth", REPORT_HALF);
	appendStringInfo(report->page.html, "<p>The AUC over %s%s rows that is lost when the values of a feature are permuted among the "
					 "rows of each domain; the line is what luck of the rows explains (95%%). Features that say the same stand in "
					 "for each other, so each may look worth little.</p>\n",
					 importance->seen > importance->rows ? "a sample of " : "", HumanCount((int64) importance->rows));
	Draw(report, n_bars);
	ReportLeftOut(report, "Features that matter most", n_bars, importance->n_features);
	ReportNumbersBegin(report);
	PutTable(report, n_rows);
	ReportLeftOut(report, "Features that matter most", n_rows, importance->n_features);
	ReportLeftOut(report, "Domains with the most rows", importance->n_domains, importance->all_domains);
	ReportNumbersEnd(report);
	ReportPartEnd(report);
}
