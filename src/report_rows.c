/*
 * report_rows.c - the rows that a report measures.
 *
 * A source that the caller gives is read with the caller's rights, and an error
 * is an error.  The recorded source is somebody's code that the caller may never
 * have seen: it is read with the rights of the model's owner in a
 * security-restricted operation, under the search_path of the training, as
 * moemlora_retrain() does, and only for who may manage the model.  Where it
 * cannot be read any more, the page says why and does without.
 */
#include "postgres.h"

#include <math.h>

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "report.h"
#include "restricted.h"

/* -------------------------------------------------------------------- reading */

/* Gives each mode of the model a scorer, the served one first. */
static void
SetWays(Report *report, ScoredRows *scored)
{
	bool		has_mode[REPORT_MODES] = {true, report->facts.has_own, report->facts.has_gate};
	int			way = 1;

	ScoredRowsSetWay(scored, 0, report->model, report->facts.served);
	for (int mode = 0; mode < REPORT_MODES; mode++)
	{
		if (has_mode[mode] && mode != (int) report->facts.served)
			ScoredRowsSetWay(scored, way++, report->model, (mml_mode) mode);
	}
}

static void
FindScores(Report *report, const ScoredRows *scored)
{
	bool		has_mode[REPORT_MODES] = {true, report->facts.has_own, report->facts.has_gate};
	int			way = 1;

	for (int mode = 0; mode < REPORT_MODES; mode++)
	{
		if (mode == (int) report->facts.served)
			report->rows.scores[mode] = scored->ways[0].scores;
		else if (has_mode[mode])
			report->rows.scores[mode] = scored->ways[way++].scores;
	}
}

/* Reads and scores the rows of the query. */
static void
Read(Report *report, const char *query)
{
	int			n_ways = 1 + (report->facts.has_own || report->facts.served != MML_MODE_BACKBONE) +
		(report->facts.has_own && report->facts.has_gate);
	MemoryContext context = AllocSetContextCreate(report->context, "moemlora report rows", ALLOCSET_DEFAULT_SIZES);
	ScoredRows *scored = ScoredRowsCreate(context, "moemlora_report", n_ways);

	scored->host = report->host;	/* so that model and rows count together */
	ReportImportanceRead(report, query);	/* before the rows, which may take all memory that is allowed */
	SetWays(report, scored);
	ScoredRowsRead(scored, query, report->stored.label, report->stored.domain);
	FindScores(report, scored);
	report->rows.scored = scored;
}

/* ------------------------------------------------------- the recorded source */

/* The source's test rows where the training had any, else all of them. */
static char *
RecordedQuery(const Report *report)
{
	const char *all = RowSourceQuery(report->stored.source);

	if (report->stored.split_column == NULL)
		return pstrdup(all);
	return psprintf("SELECT * FROM (%s\n) AS moemlora_source WHERE %s::pg_catalog.text OPERATOR(pg_catalog.=) 'test'",
					all, quote_identifier(report->stored.split_column));
}

/* With the rights of the model's owner. */
static void
ReadAsOwner(Report *report, Oid owner)
{
	RestrictedCaller caller;

	RestrictedBegin(&caller, owner, report->stored.search_path);
	Read(report, RecordedQuery(report));
	RestrictedEnd(&caller);
}

/* Errors that are not about the source. */
static bool
ConcernsAll(int sqlstate)
{
	return ERRCODE_TO_CATEGORY(sqlstate) == ERRCODE_OPERATOR_INTERVENTION ||
		ERRCODE_TO_CATEGORY(sqlstate) == ERRCODE_TRANSACTION_ROLLBACK ||
		ERRCODE_TO_CATEGORY(sqlstate) == ERRCODE_INTERNAL_ERROR;
}

/* In a subtransaction: an error leaves a reason behind, and nothing else. */
static void
TryToRead(Report *report, Oid owner)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner resources = CurrentResourceOwner;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		ReadAsOwner(report, owner);
		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = resources;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();	/* else the whole transaction would be left in it */
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = resources;
		if (ConcernsAll(error->sqlerrcode))
			ReThrowError(error);
		report->rows.reason = psprintf("The recorded source could not be read: %s.%s%s", error->message,
									   error->detail != NULL ? " " : "", error->detail != NULL ? error->detail : "");
	}
	PG_END_TRY();
}

static void
ReadRecorded(Report *report)
{
	ReportRows *rows = &report->rows;
	Oid			owner = get_role_oid(report->version.owner, true);

	rows->are_recorded = true;
	rows->are_unseen = report->stored.split_column != NULL;
	rows->what = rows->are_unseen ? "test rows" : "rows";
	if (report->stored.source == NULL || report->stored.label == NULL || report->stored.domain == NULL ||
		report->stored.search_path == NULL)
		rows->reason = "This version was imported: no source is recorded with it.";
	else if (!ModelAccessHas(report->version.model_id, report->version.owner, MODEL_MANAGE))
		rows->reason = "The recorded source is read for the owner of the model only. "
			"With a source as second argument, moemlora_report() reads that with your rights.";
	else if (!OidIsValid(owner))
		rows->reason = "The owner of the model does not exist any more, and the recorded source is read with the owner's rights.";
	else
		TryToRead(report, owner);
}

/* ------------------------------------------------------------------ measuring */

/* AUC of a mode over rows in order; NaN where the model has no such mode. */
static double
AucOf(Report *report, int mode, const Size *order, Size n)
{
	const ScoredRows *scored = report->rows.scored;
	double	   *scores;
	float	   *labels;
	double		auc;

	if (report->rows.scores[mode] == NULL || n == 0)
		return NAN;
	scores = palloc_extended(n * sizeof(double), MCXT_ALLOC_HUGE);
	labels = palloc_extended(n * sizeof(float), MCXT_ALLOC_HUGE);
	for (Size i = 0; i < n; i++)
	{
		scores[i] = report->rows.scores[mode][order[i]];
		labels[i] = scored->labels[order[i]];
	}
	BridgeCheck(scored->host, mml_auc(scored->host, scores, labels, n, &auc));
	pfree(scores);
	pfree(labels);
	return auc;
}

/* Everything about the figures' rows. */
static void
Measure(Report *report, ReportFigures *figures)
{
	const ScoredRows *scored = report->rows.scored;
	const Size *order = scored->order + figures->first;
	const float *scores = report->rows.scores[report->facts.served];
	double		loss = 0.0;
	double		sum_score = 0.0;
	double		sum_label = 0.0;

	for (Size i = 0; i < figures->rows; i++)
	{
		double		label = scored->labels[order[i]];

		CHECK_FOR_INTERRUPTS();
		figures->positives += label > 0.5;
		loss += mml_logloss_of(scores[order[i]], label);
		sum_score += scores[order[i]];
		sum_label += label;
	}
	figures->logloss = figures->rows > 0 ? loss / figures->rows : NAN;
	figures->calibration = sum_label > 0.0 ? sum_score / sum_label : NAN;
	for (int mode = 0; mode < REPORT_MODES; mode++)
		figures->auc[mode] = AucOf(report, mode, order, figures->rows);
}

/* Most rows first, then by name. */
static int
CompareFigures(const void *a, const void *b)
{
	const ReportFigures *left = a;
	const ReportFigures *right = b;

	if (left->rows != right->rows)
		return left->rows > right->rows ? -1 : 1;
	return strcmp(left->name, right->name);
}

/* The model's domains are in the order of their names. */
static bool
IsKnown(const mml_model *model, const char *name)
{
	int			low = 0;
	int			high = mml_model_domains(model);

	while (low < high)
	{
		int			middle = (low + high) / 2;
		int			order = strcmp(name, mml_model_domain(model, middle)->name);

		if (order == 0)
			return true;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return false;
}

static void
MeasureAll(Report *report)
{
	ReportRows *rows = &report->rows;
	const ScoredRows *scored = rows->scored;
	double		weights[REPORT_MODES] = {0.0};

	rows->n_domains = scored->list.n;
	rows->domains = palloc0(Max(rows->n_domains, 1) * sizeof(ReportFigures));
	for (int i = 0; i < rows->n_domains; i++)
	{
		ReportFigures *domain = &rows->domains[i];

		domain->name = scored->list.names[i].bytes;
		domain->first = scored->starts[i];
		domain->rows = scored->starts[i + 1] - scored->starts[i];
		domain->is_known = IsKnown(report->model, domain->name);
		Measure(report, domain);
		for (int mode = 0; mode < REPORT_MODES; mode++)
		{
			if (isnan(domain->auc[mode]))
				continue;
			rows->wauc[mode] += domain->auc[mode] * domain->rows;
			weights[mode] += domain->rows;
		}
	}
	for (int mode = 0; mode < REPORT_MODES; mode++)
		rows->wauc[mode] /= weights[mode];	/* NaN where there is no domain to take a mean of: 0 / 0 */
	rows->all.rows = scored->n_rows;
	Measure(report, &rows->all);
	qsort(rows->domains, rows->n_domains, sizeof(ReportFigures), CompareFigures);
}

void
ReportRowsRead(Report *report, const char *source)
{
	ReportRows *rows = &report->rows;

	if (source == NULL)
		ReadRecorded(report);
	else
	{
		if (report->stored.label == NULL || report->stored.domain == NULL)
			ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
							errmsg("version %d of model \"%s\" does not say which columns are label and domain",
								   report->version.number, report->name),
							errdetail("It was imported."),
							errhint("Leave out the source, or use moemlora_evaluate(), which takes them as arguments.")));
		rows->what = "rows";
		Read(report, RowSourceQuery(source));
	}
	if (rows->reason == NULL && rows->scored->n_rows == 0)
		rows->reason = rows->are_unseen ? "The recorded source has no rows whose split is test." : "The source has no rows.";
	if (rows->reason == NULL)
		MeasureAll(report);
}
