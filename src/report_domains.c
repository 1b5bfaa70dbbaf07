/*
 * report_domains.c - the part of a report about domains: what the shared network,
 * a domain's own experts and the gate are worth in each.
 *
 * On the rows that were read, else by what the training found on its validation
 * rows.
 */
#include "postgres.h"

#include <math.h>

#include "report.h"

/* AUC of each mode in one domain. */
typedef struct DomainFigures
{
	const char *name;
	int64		rows;
	int64		positives;
	bool		is_known;
	double		auc[REPORT_MODES];
	double		calibration;
} DomainFigures;

/* The domain that is number i by rows. */
static DomainFigures
FiguresAt(const Report *report, int i)
{
	const mml_domain *domain;

	if (report->rows.reason == NULL)
	{
		const ReportFigures *figures = &report->rows.domains[i];

		return (DomainFigures) {figures->name, (int64) figures->rows, (int64) figures->positives, figures->is_known,
			{figures->auc[0], figures->auc[1], figures->auc[2]}, figures->calibration};
	}
	domain = mml_model_domain(report->model, report->by_rows[i]);
	return (DomainFigures) {domain->name, domain->rows, domain->positives, true,
		{domain->backbone_auc, domain->own_auc, domain->gate_auc}, NAN};
}

static bool
HasMode(const Report *report, int mode)
{
	return mode == MML_MODE_BACKBONE || (mode == MML_MODE_OWN ? report->facts.has_own : report->facts.has_gate);
}

bool
ReportHasBackbone(const Report *report)
{
	for (int run = 0; run < mml_model_phases(report->model); run++)
	{
		const mml_phase_summary *phase = mml_model_phase(report->model, run);

		if (phase->phase == MML_PHASE_BACKBONE && phase->is_used)
			return true;
	}
	return false;
}

static void
Draw(Report *report, int n_shown)
{
	static const char *const names[REPORT_MODES] = {"shared network", "own experts", "gated experts"};
	ChartGroup *groups = palloc0(n_shown * sizeof(ChartGroup));
	BarChart	chart = {
		.text = {"AUC by domain", "Bars of the AUC of each way of scoring, in the domains with the most rows. 0.5 is chance."},
		.axis_title = "AUC (0.5 is chance)",
		.baseline = 0.5,
		.decimals = 3,
		.groups = groups,
		.n_groups = n_shown,
	};

	for (int mode = 0; mode < REPORT_MODES; mode++)
	{
		if (!HasMode(report, mode))
			continue;
		chart.bars[chart.n_bars] = names[mode];
		chart.colors[chart.n_bars] = mode;
		for (int i = 0; i < n_shown; i++)
		{
			DomainFigures figures = FiguresAt(report, i);

			groups[i].name = figures.name;
			groups[i].values[chart.n_bars] = figures.auc[mode];
		}
		chart.n_bars++;
	}
	ReportFigureBegin(report);
	ChartBars(&report->page, &chart);
	ReportFigureEnd(report);
}

static void
PutTable(Report *report, int n_shown)
{
	StringInfo	html = report->page.html;
	bool		is_measured = report->rows.reason == NULL;

	HtmlTableBegin(html, is_measured ? "AUC by domain on the rows read" : "AUC by domain on the validation rows");
	HtmlColumn(html, "domain", false);
	if (is_measured)
		HtmlColumn(html, "in training", false);
	HtmlColumn(html, is_measured ? "rows" : "rows trained", true);
	HtmlColumn(html, "positive", true);
	HtmlColumn(html, "shared network", true);
	HtmlColumn(html, "own experts", true);
	HtmlColumn(html, "gated experts", true);
	if (is_measured)
		HtmlColumn(html, "calibration", true);
	HtmlRowsBegin(html);
	for (int i = 0; i < n_shown; i++)
	{
		DomainFigures figures = FiguresAt(report, i);

		HtmlRowBegin(html);
		HtmlHeadCell(html, figures.name);
		if (is_measured)
			HtmlTextCell(html, figures.is_known ? "yes" : "no");
		HtmlNumberCell(html, HumanCount(figures.rows));
		HtmlNumberCell(html, HumanShare((double) figures.positives / figures.rows));
		for (int mode = 0; mode < REPORT_MODES; mode++)
			HtmlNumberCell(html, HumanFigure(HasMode(report, mode) ? figures.auc[mode] : NAN, 4));
		if (is_measured)
			HtmlNumberCell(html, HumanFigure(figures.calibration, 3));
		HtmlRowEnd(html);
	}
	HtmlTableEnd(html);
}

/* Where the rows hold domains that the training has not seen. */
static void
TellUnknown(Report *report)
{
	Size		rows = 0;
	int			n_unknown = 0;

	for (int i = 0; report->rows.reason == NULL && i < report->rows.n_domains; i++)
	{
		if (report->rows.domains[i].is_known)
			continue;
		n_unknown++;
		rows += report->rows.domains[i].rows;
	}
	if (n_unknown > 0)
		appendStringInfo(report->page.html, "<p>%s %s with %s rows %s not in the training.</p>\n", HumanCount(n_unknown),
						 n_unknown == 1 ? "domain" : "domains", HumanCount((int64) rows), n_unknown == 1 ? "was" : "were");
}

void
ReportDomains(Report *report)
{
	int			n_domains = report->rows.reason == NULL ? report->rows.n_domains : mml_model_domains(report->model);
	int			n_bars = Min(n_domains, REPORT_BARS);
	int			n_rows = Min(n_domains, REPORT_TABLE);

	ReportPartBegin(report, "domains", "AUC in each domain", REPORT_TALL);
	appendStringInfo(report->page.html, "<p>How often a positive row scores above a negative one of the same domain, "
					 "on %s. Small differences between bars may be luck, most of all where there are few rows.</p>\n",
					 report->rows.reason != NULL ? "the validation rows of the training" : psprintf("the %s read", report->rows.what));
	if (!ReportHasBackbone(report))
		appendStringInfoString(report->page.html, "<p>The shared network of this version was trained together with experts, not to "
							   "score alone: its bars say nothing of what a network without experts would reach. For that "
							   "train one with method backbone, and see moemlora_compare().</p>\n");
	TellUnknown(report);
	Draw(report, n_bars);
	ReportLeftOut(report, "Domains with the most rows", n_bars, n_domains);
	ReportNumbersBegin(report);
	PutTable(report, n_rows);
	ReportLeftOut(report, "Domains with the most rows", n_rows, n_domains);
	ReportNumbersEnd(report);
	ReportPartEnd(report);
}
