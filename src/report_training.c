/*
 * report_training.c - the part of a report about how the training went: a
 * learning curve for each phase.
 *
 * Experts are trained one after the other, and there may be thousands: shown
 * are the first experts of the domains with the most rows, and of each by how much
 * it changed the AUC, since domains differ in how well they can be known.
 */
#include "postgres.h"

#include <math.h>

#include "report.h"

#define LOSS_HEIGHT 210
#define AUC_HEIGHT 180
#define EXPERTS_HEIGHT 260
#define MOST_POINTS 200			/* of a line */

/* ----------------------------------------------------------------- collecting */

/* Where epochs of this expert in this phase go; NULL: nowhere. */
static ReportEpochs *
CurveFor(Report *report, const StoredEpoch *epoch)
{
	for (int i = 0; i < report->n_curves; i++)
	{
		if (report->epochs[i].run == epoch->run && report->epochs[i].expert == epoch->expert)
			return &report->epochs[i];
	}
	return NULL;
}

static void
TakeEpoch(void *self, const StoredEpoch *epoch)
{
	Report	   *report = self;
	ReportEpochs *curve = CurveFor(report, epoch);

	if (curve == NULL)
		return;
	if (curve->n_epochs == curve->n_held)
	{
		curve->n_held = Max(32, curve->n_held * 2);
		curve->epochs = curve->epochs == NULL ? palloc(curve->n_held * sizeof(StoredEpoch)) :
			repalloc(curve->epochs, curve->n_held * sizeof(StoredEpoch));
	}
	curve->epochs[curve->n_epochs++] = *epoch;
}

static void
AddCurve(Report *report, int run, int expert)
{
	report->epochs[report->n_curves++] = (ReportEpochs) {.run = run, .expert = expert};
}

void
ReportEpochsRead(Report *report, Snapshot snapshot)
{
	int			n_runs = mml_model_phases(report->model);

	report->epochs = palloc0(Max(n_runs, 1) * REPORT_CURVES * sizeof(ReportEpochs));
	for (int run = 0; run < n_runs; run++)
	{
		int			n_experts = 0;

		if (mml_model_phase(report->model, run)->phase != MML_PHASE_EXPERTS)
		{
			AddCurve(report, run, -1);
			continue;
		}
		for (int i = 0; i < mml_model_domains(report->model) && n_experts < REPORT_CURVES; i++)
		{
			int			expert = mml_model_domain(report->model, report->by_rows[i])->first_expert;

			if (expert < 0)
				continue;
			AddCurve(report, run, expert);
			n_experts++;
		}
	}
	ModelStoreEpochs(&report->version, snapshot, TakeEpoch, report);
}

/* -------------------------------------------------------------------- drawing */

/* Every how many epochs one is drawn or told, so that it is not too many. */
static int
StrideOf(int n_epochs, int most)
{
	return (n_epochs + most - 1) / most;
}

/* The last epoch that was better than all before; -1: none. */
static int
BestOf(const ReportEpochs *curve)
{
	int			best = -1;

	for (int i = 0; i < curve->n_epochs; i++)
	{
		if (curve->epochs[i].is_best)
			best = i;
	}
	return best;
}

/* Whether the epoch is among those told. */
static bool
IsShown(const ReportEpochs *curve, int i, int most)
{
	return i % StrideOf(curve->n_epochs, most) == 0 || i == curve->n_epochs - 1 || i == BestOf(curve);
}

/* What a line shows of an epoch. */
typedef enum EpochFigure
{
	TRAIN_LOGLOSS, VALID_LOGLOSS, VALID_AUC
} EpochFigure;

static double
FigureOf(const StoredEpoch *epoch, EpochFigure figure)
{
	switch (figure)
	{
		case TRAIN_LOGLOSS:
			return epoch->train_logloss;
		case VALID_LOGLOSS:
			return epoch->valid_logloss;
		case VALID_AUC:
			break;
	}
	return epoch->valid_auc;
}

/* The AUC on the validation rows before the first epoch. */
static double
AucBefore(const ReportEpochs *curve)
{
	return curve->n_epochs > 0 ? curve->epochs[0].valid_auc : NAN;
}

/*
 * The state before a phase may be one of chance, beside which all epochs look
 * alike: it is drawn where it was the best.  What experts change begins with it.
 */
static int
FirstDrawn(const ReportEpochs *curve)
{
	return curve->expert < 0 && curve->n_epochs > 1 && BestOf(curve) != 0 ? 1 : 0;
}

/* A line of one figure, less `base`. */
static ChartSeries
SeriesOf(const ReportEpochs *curve, EpochFigure figure, double base, const char *name, int color)
{
	ChartPoint *points = palloc(Max(curve->n_epochs, 1) * sizeof(ChartPoint));
	ChartSeries series = {.name = name, .color = color, .points = points, .marked = -1};

	for (int i = FirstDrawn(curve); i < curve->n_epochs; i++)
	{
		const StoredEpoch *epoch = &curve->epochs[i];

		if (!IsShown(curve, i, MOST_POINTS))
			continue;
		if (figure != TRAIN_LOGLOSS && i == BestOf(curve))
			series.marked = series.n_points;
		points[series.n_points++] = (ChartPoint) {epoch->epoch, FigureOf(epoch, figure) - base, NAN, NAN};
	}
	return series;
}

static const char *
ExpertDomain(const Report *report, int expert)
{
	return mml_model_domain(report->model, mml_model_expert_domain(report->model, expert))->name;
}

static void
DrawLosses(Report *report, const ReportEpochs *curve)
{
	ChartSeries series[2];
	LineChart	chart = {
		.text = {"Logloss by epoch", "Logloss on the validation and the training rows; a ring marks the best epoch."},
		.x_title = "epoch", .y_title = "logloss", .height = LOSS_HEIGHT, .series = series, .n_series = 2,
	};

	series[0] = SeriesOf(curve, VALID_LOGLOSS, 0.0, "validation rows", 1);
	series[1] = SeriesOf(curve, TRAIN_LOGLOSS, 0.0, "training rows", 0);
	ChartLines(&report->page, &chart);
}

static void
DrawAuc(Report *report, const ReportEpochs *curve)
{
	ChartSeries series = SeriesOf(curve, VALID_AUC, 0.0, "validation rows", 1);
	LineChart	chart = {
		.text = {"AUC by epoch", "AUC on the validation rows; a ring marks the best epoch."},
		.x_title = "epoch", .y_title = "AUC", .height = AUC_HEIGHT, .series = &series, .n_series = 1,
	};

	if (!isnan(curve->epochs[curve->n_epochs - 1].valid_auc))
		ChartLines(&report->page, &chart);
}

static void
DrawExperts(Report *report, const ReportEpochs *curves, int n_curves)
{
	ChartSeries series[REPORT_CURVES];
	LineChart	chart = {
		.text = {"AUC of experts by epoch", "Change of the AUC on the validation rows of each expert's domain; a ring marks "
		"the best epoch."},
		.x_title = "epoch of the expert", .y_title = "change of AUC", .height = EXPERTS_HEIGHT,
		.series = series, .n_series = n_curves,
	};

	for (int i = 0; i < n_curves; i++)
		series[i] = SeriesOf(&curves[i], VALID_AUC, AucBefore(&curves[i]), ExpertDomain(report, curves[i].expert), i + 1);
	ChartLines(&report->page, &chart);
}

/* --------------------------------------------------------------------- tables */

static void
PutEpochsTable(Report *report, const ReportEpochs *curve)
{
	StringInfo	html = report->page.html;

	HtmlTableBegin(html, StrideOf(curve->n_epochs, REPORT_TABLE) > 1 ?
				   "Some of the epochs; epoch 0 is the state before" : "Epochs; epoch 0 is the state before");
	HtmlColumn(html, "epoch", false);
	HtmlColumn(html, "training logloss", true);
	HtmlColumn(html, "validation logloss", true);
	HtmlColumn(html, "validation AUC", true);
	HtmlColumn(html, "seconds", true);
	HtmlRowsBegin(html);
	for (int i = 0; i < curve->n_epochs; i++)
	{
		const StoredEpoch *epoch = &curve->epochs[i];

		if (!IsShown(curve, i, REPORT_TABLE))
			continue;
		HtmlRowBegin(html);
		HtmlHeadCell(html, psprintf("%d%s", epoch->epoch, i == BestOf(curve) ? " (best)" : ""));
		HtmlNumberCell(html, HumanFigure(epoch->train_logloss, 4));
		HtmlNumberCell(html, HumanFigure(epoch->valid_logloss, 4));
		HtmlNumberCell(html, HumanFigure(epoch->valid_auc, 4));
		HtmlNumberCell(html, HumanFigure(epoch->seconds, 2));
		HtmlRowEnd(html);
	}
	HtmlTableEnd(html);
}

static void
PutExpertsTable(Report *report, const ReportEpochs *curves, int n_curves)
{
	StringInfo	html = report->page.html;

	HtmlTableBegin(html, "AUC of experts on the validation rows of their domains");
	HtmlColumn(html, "domain", false);
	HtmlColumn(html, "epochs", true);
	HtmlColumn(html, "before", true);
	HtmlColumn(html, "best", true);
	HtmlColumn(html, "change", true);
	HtmlRowsBegin(html);
	for (int i = 0; i < n_curves; i++)
	{
		const ReportEpochs *curve = &curves[i];
		double		before = AucBefore(curve);
		double		best = BestOf(curve) >= 0 ? curve->epochs[BestOf(curve)].valid_auc : NAN;

		HtmlRowBegin(html);
		HtmlHeadCell(html, ExpertDomain(report, curve->expert));
		HtmlNumberCell(html, HumanCount(curve->n_epochs > 0 ? curve->epochs[curve->n_epochs - 1].epoch : 0));
		HtmlNumberCell(html, HumanFigure(before, 4));
		HtmlNumberCell(html, HumanFigure(best, 4));
		HtmlNumberCell(html, HumanDifference(best - before, 4));
		HtmlRowEnd(html);
	}
	HtmlTableEnd(html);
}

/* ----------------------------------------------------------------- the phases */

static void
PutPhaseHead(Report *report, int run)
{
	StringInfo	html = report->page.html;
	const mml_phase_summary *phase = mml_model_phase(report->model, run);
	double		seconds = report->history.phase_seconds[run];

	appendStringInfo(html, "<h3>%d. %s</h3>\n<p class=\"soft\">%s %s of %s rows", run + 1,
					 mml_phase_name((mml_phase) phase->phase), HumanCount(phase->epochs),
					 phase->epochs == 1 ? "epoch" : "epochs", HumanCount(phase->rows));
	if (seconds >= 0.0)
		appendStringInfo(html, " in %s", HumanSeconds(seconds));
	appendStringInfo(html, "; validation AUC %s, WAUC %s", HumanFigure(phase->valid_auc, 4),
					 HumanFigure(phase->valid_wauc, 4));
	if (phase->note[0] != '\0')
	{
		appendStringInfoString(html, " (");
		HtmlText(html, phase->note);
		appendStringInfoChar(html, ')');
	}
	appendStringInfoString(html, "</p>\n");
}

/* Phase `run`, whose curves are from `first` on; returns the first one of the next. */
static int
PutPhase(Report *report, int run, int first)
{
	const ReportEpochs *curves = &report->epochs[first];
	int			n_curves = 0;

	while (first + n_curves < report->n_curves && curves[n_curves].run == run)
		n_curves++;
	appendStringInfoString(report->page.html, "<div>\n");
	PutPhaseHead(report, run);
	if (n_curves > 0 && curves->n_epochs > 0)
	{
		ReportFigureBegin(report);
		if (curves->expert >= 0)
			DrawExperts(report, curves, n_curves);
		else
		{
			DrawLosses(report, curves);
			DrawAuc(report, curves);
		}
		ReportFigureEnd(report);
		if (curves->expert >= 0)
			ReportLeftOut(report, "Experts, those of the domains with the most rows", n_curves, report->facts.n_experts);
		ReportNumbersBegin(report);
		if (curves->expert >= 0)
			PutExpertsTable(report, curves, n_curves);
		else
			PutEpochsTable(report, curves);
		ReportNumbersEnd(report);
	}
	appendStringInfoString(report->page.html, "</div>\n");
	return first + n_curves;
}

void
ReportTraining(Report *report)
{
	int			n_runs = mml_model_phases(report->model);
	int			next = 0;

	if (n_runs == 0)
		return;
	ReportPartBegin(report, "training", "How the training went", REPORT_WIDE);
	appendStringInfoString(report->page.html, "<p>The phases in the order of running. Kept is the state with the best AUC on the "
						   "validation rows: the ring. Where the validation rows get worse while the training rows get better, a "
						   "phase learns by heart.");
	if (report->history.seconds < 0.0 || isnan(report->history.seconds))
		appendStringInfoString(report->page.html, " The epochs of an imported version are not known.");
	appendStringInfoString(report->page.html, "</p>\n<div class=\"panels\">\n");
	for (int run = 0; run < n_runs; run++)
		next = PutPhase(report, run, next);
	appendStringInfoString(report->page.html, "</div>\n");
	ReportPartEnd(report);
}
