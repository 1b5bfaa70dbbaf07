/*
 * progress.c - what a training says while it runs: a NOTICE per epoch, and a
 * comment before the statement's text in pg_stat_activity,
 *
 *   / * moemlora: model="ctr" phase=joint step=120 steps=9800 fraction=0.0122
 *      rows_per_second=210400 started=1767225600.250 * / SELECT ...
 *
 * on one line and without the blanks in its signs.  View moemlora.progress reads
 * it; what stands there must match the view's regular expression.  `step` counts
 * the batches of all epochs of a phase (of one expert, in phase experts), and
 * `steps` how many there can be.  `"`, `*` and `%` of a model's name become
 * %22, %2A and %25, so no name can end the comment.
 */
#include "postgres.h"

#include <math.h>

#include "lib/stringinfo.h"
#include "utils/backend_status.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "moemlora.h"

/* One training; a training inside another's source stands on top of it. */
typedef struct Progress
{
	struct Progress *outer;
	MemoryContext context;		/* where all this lies */
	char	   *model;			/* as it stands in the comment */
	TimestampTz started;
	bool		is_shown;		/* in pg_stat_activity */
	BackendState state;			/* what stood there before; so below */
	char	   *query;
	ActivityIds ids;
	StringInfoData comment;
} Progress;

static Progress *Current = NULL;

static char *
EscapeName(const char *name)
{
	StringInfoData escaped;

	initStringInfo(&escaped);
	for (; *name != '\0'; name++)
	{
		if (*name == '"' || *name == '*' || *name == '%')
			appendStringInfo(&escaped, "%%%02X", *name);
		else
			appendStringInfoChar(&escaped, *name);
	}
	return escaped.data;
}

/* 1234567 as 1,234,567 */
static char *
GroupDigits(int64 value)
{
	char	   *digits = psprintf(INT64_FORMAT, value);
	int			length = (int) strlen(digits);
	StringInfoData grouped;

	initStringInfo(&grouped);
	for (int i = 0; i < length; i++)
	{
		if (i > 0 && (length - i) % 3 == 0)
			appendStringInfoChar(&grouped, ',');
		appendStringInfoChar(&grouped, digits[i]);
	}
	pfree(digits);
	return grouped.data;
}

static int64
RowsPerSecond(const mml_epoch *epoch)
{
	double		rate = epoch->seconds > 0 ? (double) epoch->rows / epoch->seconds : 0.0;

	return (int64) Min(rate, 1e15);
}

/* ---------------------------------------------------------------- activity */

/* Puts the comment before the statement. `rate` in rows per second. */
static void
ShowActivity(Progress *progress, const char *phase, int64 step, int64 steps, double fraction, int64 rate)
{
	pg_time_t	seconds = timestamptz_to_time_t(progress->started);
	int			milliseconds = (int) ((progress->started - time_t_to_timestamptz(seconds)) / 1000);

	if (!progress->is_shown)
		return;
	resetStringInfo(&progress->comment);
	appendStringInfo(&progress->comment,
					 "/* moemlora: model=\"%s\" phase=%s step=" INT64_FORMAT " steps=" INT64_FORMAT
					 " fraction=%.4f rows_per_second=" INT64_FORMAT " started=" INT64_FORMAT ".%03d */ %s",
					 progress->model, phase, step, steps, fraction, rate, (int64) seconds, milliseconds,
					 progress->query);
	pgstat_report_activity(progress->state, progress->comment.data);
	ActivityIdsPut(progress->ids);
}

static void
ShowEpoch(Progress *progress, const mml_epoch *epoch)
{
	int64		before = (int64) Max(epoch->epoch - 1, 0) * epoch->n_steps;
	int64		step = epoch->epoch > 0 ? before + epoch->step : 0;

	ShowActivity(progress, mml_phase_name(epoch->phase), Max(step, 0), Max(epoch->n_epochs * epoch->n_steps, 0),
				 Min(Max(epoch->fraction, 0.0), 1.0), RowsPerSecond(epoch));
}

/* ----------------------------------------------------------------- notices */

static void
AppendFigure(StringInfo line, const char *name, double value)
{
	if (!isnan(value))
		appendStringInfo(line, ", %s %.4f", name, value);
}

/* "phase experts 3/7 (books), epoch 4/50, 210,000 rows/s, train logloss 0.5123, ..." */
static void
NoticeEpoch(const mml_epoch *epoch)
{
	StringInfoData line;

	initStringInfo(&line);
	appendStringInfo(&line, "phase %s", mml_phase_name(epoch->phase));
	if (epoch->expert >= 0)
		appendStringInfo(&line, " %d/%d", epoch->expert + 1, epoch->n_experts);
	if (epoch->domain_name != NULL)
		appendStringInfo(&line, " (%s)", epoch->domain_name);
	appendStringInfo(&line, ", epoch %d/%d", epoch->epoch, epoch->n_epochs);
	if (epoch->epoch > 0)
		appendStringInfo(&line, ", %s rows/s", GroupDigits(RowsPerSecond(epoch)));
	AppendFigure(&line, "train logloss", epoch->train_logloss);
	AppendFigure(&line, "valid logloss", epoch->valid_logloss);
	AppendFigure(&line, "AUC", epoch->valid_auc);
	if (epoch->is_best)
		appendStringInfoString(&line, " (best)");
	if (epoch->rate_divisor > 1)
		appendStringInfo(&line, ", learning rate / %d", epoch->rate_divisor);
	ereport(NOTICE, (errmsg_internal("%s", line.data)));
}

/* ---------------------------------------------------------------- exported */

/* Remembers the activity string as it is; ProgressEnd() must follow, whatever happens. */
void
ProgressBegin(const char *model_name)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "moemlora progress", ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	Progress   *progress = palloc0(sizeof(Progress));

	progress->context = context;
	progress->model = EscapeName(model_name);
	progress->started = GetCurrentTimestamp();
	progress->is_shown = pgstat_track_activities && MyBEEntry != NULL && MyBEEntry->st_activity_raw != NULL;
	initStringInfo(&progress->comment);
	if (progress->is_shown)
	{
		progress->state = MyBEEntry->st_state;
		progress->query = pstrdup(MyBEEntry->st_activity_raw);
		progress->ids = ActivityIdsGet();
	}
	progress->outer = Current;
	Current = progress;
	MemoryContextSwitchTo(caller);
	ShowActivity(progress, "reading", 0, 0, 0.0, 0);
}

/* "training on 80,000 rows in 2 processes takes 212 MB" */
void
ProgressTraining(int told, size_t rows, int processes, size_t bytes)
{
	char	   *digits = GroupDigits((int64) rows);
	char	   *memory = GroupDigits((int64) (bytes / (1024 * 1024) + 1));

	ereport(told, (errmsg_plural("training on %s rows in %d process takes %s MB",
								   "training on %s rows in %d processes takes %s MB", processes, digits, processes, memory)));
	pfree(digits);
	pfree(memory);
}

/* Moves the comment. */
void
ProgressShow(const mml_epoch *epoch)
{
	if (Current != NULL)
		ShowEpoch(Current, epoch);
}

/* A sign of life inside an epoch only moves the comment. */
void
ProgressReport(const mml_epoch *epoch)
{
	MemoryContext context;
	MemoryContext caller;

	if (Current == NULL)
		return;
	ShowEpoch(Current, epoch);
	if (epoch->is_running)
		return;
	context = AllocSetContextCreate(CurrentMemoryContext, "moemlora notice", ALLOCSET_SMALL_SIZES);
	caller = MemoryContextSwitchTo(context);
	NoticeEpoch(epoch);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}

/* Restores the activity string. */
void
ProgressEnd(void)
{
	Progress   *progress = Current;

	if (progress == NULL)
		return;
	Current = progress->outer;
	if (progress->is_shown)
	{
		pgstat_report_activity(progress->state, progress->query);
		ActivityIdsPut(progress->ids);
	}
	MemoryContextDelete(progress->context);
}
