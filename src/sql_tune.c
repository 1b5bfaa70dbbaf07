/*
 * sql_tune.c - moemlora_tune(): which options suit some rows, by successive
 * halving (Jamieson and Talwalkar, AISTATS 2016).
 *
 * The rows are read and encoded once.  Every trial is a training with the core
 * on them; the better third of a rung's trials begins anew with three times as
 * many epochs, so what reaches the last rung is what moemlora_train() with these
 * options makes.  Nothing is stored.
 */
#include "postgres.h"

#include <math.h>

#include "common/hashfn.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "tune_grid.h"
#include "train_job.h"

PG_FUNCTION_INFO_V1(moemlora_tune);

#define MOST_TRIALS 81			/* of more combinations so many are drawn */

/* One combination of options. */
typedef struct Trial
{
	Jsonb	   *varied;			/* those that differ from trial to trial */
	TrainOptions *options;
	mml_trial	result;			/* of the last rung that it took part in; of the one before where the last was cut short and worse */
	int			rung;			/* that one, from 0; -1: none */
	double		seconds;		/* of all rungs */
	const char *note;			/* why there is no result, or what a person should know; NULL */
	bool		is_out;			/* it cannot be trained */
	int			position;		/* in the grid: ties */
} Trial;

typedef struct Tuning
{
	TrainJob   *job;
	Trial	   *trials;			/* [n_trials], after each rung by rank */
	int			n_trials;
	int			n_rungs;
	int			epochs;			/* of the last rung */
	double		deadline;		/* INFINITY: none */
} Tuning;

/* --------------------------------------------------------------------- trials */

/* The comment in pg_stat_activity moves; a line per epoch would be too many. */
static void
TuneReport(void *owner, const mml_epoch *epoch)
{
	(void) owner;
	ProgressShow(epoch);
}

static double
SecondsNow(const Tuning *tuning)
{
	mml_host   *host = tuning->job->host;

	return host->seconds(host->self);
}

/* What trials are ranked by: WAUC; AUC where no domain has both classes, else logloss. */
static double
Score(const mml_trial *result)
{
	return !isnan(result->valid_wauc) ? result->valid_wauc :
		!isnan(result->valid_auc) ? result->valid_auc : -result->valid_logloss;
}

/* Who got further stands first, then who is better, then who has fewer parameters: a measured time would be chance. */
static int
CompareTrials(const void *a, const void *b)
{
	const Trial *x = a;
	const Trial *y = b;

	if (x->is_out != y->is_out)
		return x->is_out ? 1 : -1;
	if (x->rung != y->rung)
		return y->rung - x->rung;
	if (x->rung >= 0 && Score(&x->result) != Score(&y->result))
		return Score(&x->result) > Score(&y->result) ? -1 : 1;
	if (x->rung >= 0 && x->result.parameters != y->result.parameters)
		return x->result.parameters < y->result.parameters ? -1 : 1;
	return x->position - y->position;
}

/* What the core found wrong with one trial; what concerns all is raised. */
static void
TakeFailure(const Tuning *tuning, Trial *trial, const mml_trial *result, mml_status status)
{
	mml_host   *host = tuning->job->host;

	if (result->is_end || (status != MML_LIMIT && status != MML_DIVERGED && status != MML_BAD_OPTION))
		BridgeCheck(host, status);
	trial->is_out = true;
	trial->note = psprintf("%s%s%s", host->error.message, host->error.detail[0] == '\0' ? "" : ": ", host->error.detail);
}

/* What was cut short counts only if it is better than what fewer epochs had brought. */
static void
TakeResult(Trial *trial, const mml_trial *result, int rung)
{
	trial->note = result->is_late ? "cut short" : NULL;
	if (result->is_late && trial->rung >= 0 && Score(result) < Score(&trial->result))
		return;
	trial->result = *result;
	trial->rung = rung;
}

static void
TellTrial(const Tuning *tuning, const Trial *trial, int rung, int n, int i)
{
	StringInfoData line;

	initStringInfo(&line);
	appendStringInfo(&line, "rung %d of %d, trial %d of %d: ", rung + 1, tuning->n_rungs, i + 1, n);
	if (trial->is_out)
		appendStringInfo(&line, "%s, ", trial->note);
	else
	{
		if (!isnan(trial->result.valid_wauc))
			appendStringInfo(&line, "WAUC %.4f, ", trial->result.valid_wauc);
		if (!isnan(trial->result.valid_auc))
			appendStringInfo(&line, "AUC %.4f, ", trial->result.valid_auc);
		appendStringInfo(&line, "served mode %s, %.1f s, ", mml_mode_name(trial->result.served), trial->result.seconds);
	}
	(void) JsonbToCString(&line, &trial->varied->root, VARSIZE(trial->varied));
	ereport(NOTICE, (errmsg_internal("%s", line.data)));
	pfree(line.data);
}

/* One training, in its share of the time that is left. */
static void
RunTrial(Tuning *tuning, Trial *trial, int rung, int n, int i)
{
	mml_config	config = trial->options->config;
	double		left = tuning->deadline - SecondsNow(tuning);
	mml_trial	result;
	mml_status	status;

	config.epochs = mml_halving_epochs(tuning->n_rungs, rung, tuning->epochs);
	if (isfinite(left))
		config.max_seconds = mml_halving_seconds(left, tuning->n_rungs, rung, n, i);
	status = mml_trial_run(tuning->job->host, tuning->job->rows, &config, &result);
	trial->seconds += result.seconds;
	if (status == MML_OK)
		TakeResult(trial, &result, rung);
	else
		TakeFailure(tuning, trial, &result, status);
	TellTrial(tuning, trial, rung, n, i);
}

/* The best n trials once more; false: the time is up. */
static bool
RunRung(Tuning *tuning, int rung, int n)
{
	int			i;

	for (i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (SecondsNow(tuning) >= tuning->deadline)
			return false;
		if (!tuning->trials[i].is_out)
			RunTrial(tuning, &tuning->trials[i], rung, n, i);
	}
	return true;
}

static void
RunRungs(Tuning *tuning)
{
	bool		has_time = true;
	int			rung;

	for (rung = 0; rung < tuning->n_rungs && has_time; rung++)
	{
		has_time = RunRung(tuning, rung, mml_halving_trials(tuning->n_trials, rung));
		qsort(tuning->trials, tuning->n_trials, sizeof(Trial), CompareTrials);
	}
	if (!has_time)
		ereport(NOTICE, (errmsg("budget_seconds have passed in rung %d of %d", rung, tuning->n_rungs)));
}

/* ----------------------------------------------------------------------- grid */

/* A combination as a trial; false: its options do not go together, *why says what is wrong. */
static bool
MakeTrial(const TuneGrid *grid, uint64 number, Trial *trial, char **why)
{
	Jsonb	   *all;

	memset(trial, 0, sizeof(*trial));
	TuneGridGet(grid, number, &all, &trial->varied);
	trial->options = OptionsParseTrial(all, why);
	trial->rung = -1;
	return *why == NULL;
}

/* Number i of the combinations in the order in which they are tried: as they come, or drawn where there are too many. */
static uint64
CombinationNumber(const TuneGrid *grid, uint64 i)
{
	return grid->n_combinations <= MOST_TRIALS ? i :
		hash_uint32_extended((uint32) i, (uint64) grid->seed) % grid->n_combinations;
}

static bool
IsTaken(const uint64 *numbers, int n, uint64 number)
{
	int			i;

	for (i = 0; i < n; i++)
	{
		if (numbers[i] == number)
			return true;
	}
	return false;
}

/* Fills in the trials. */
static void
MakeTrials(Tuning *tuning, const TuneGrid *grid)
{
	uint64		numbers[MOST_TRIALS];
	uint64		wanted = Min(grid->n_combinations, MOST_TRIALS);
	int			n_numbers = 0;
	uint64		i;
	char	   *why = NULL;
	char	   *first_why = NULL;

	tuning->trials = palloc(wanted * sizeof(Trial));
	for (i = 0; n_numbers < (int) wanted; i++)
	{
		uint64		number = CombinationNumber(grid, i);

		if (IsTaken(numbers, n_numbers, number))
			continue;
		numbers[n_numbers++] = number;
		why = NULL;
		if (MakeTrial(grid, number, &tuning->trials[tuning->n_trials], &why))
		{
			tuning->trials[tuning->n_trials].position = tuning->n_trials;
			tuning->n_trials++;
		}
		else if (first_why == NULL)
			first_why = why;
	}
	if (tuning->n_trials == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("no combination of the grid can be trained"),
						errdetail("%s.", first_why)));
	if (grid->n_combinations > MOST_TRIALS)
		ereport(NOTICE, (errmsg("trying %d of " UINT64_FORMAT " combinations, drawn with seed " INT64_FORMAT,
								MOST_TRIALS, grid->n_combinations, grid->seed)));
	if (tuning->n_trials < n_numbers)
		ereport(NOTICE, (errmsg("%d of %d combinations were left out: their options do not go together",
								n_numbers - tuning->n_trials, n_numbers),
						 errdetail("%s.", first_why)));
}

/* Nobody shall train with what could not be trained. */
static void
CheckTrials(const Tuning *tuning)
{
	int			i;

	for (i = 0; i < tuning->n_trials; i++)
	{
		if (!tuning->trials[i].is_out)
			return;
	}
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("no combination of the grid could be trained"),
					errdetail("%s.", tuning->trials[0].note)));
}

/* --------------------------------------------------------------------- result */

static void
PutTrial(ResultRows *result, const Trial *trial, int rank)
{
	Datum		values[8];
	bool		nulls[8] = {false};
	bool		has_result = trial->rung >= 0;

	nulls[0] = !has_result || trial->is_out;
	values[0] = Int32GetDatum(rank);
	values[1] = ResultRounded(has_result ? trial->result.valid_wauc : NAN, FIGURE_PLACES, &nulls[1]);
	values[2] = ResultRounded(has_result ? trial->result.row_seconds * 1e6 : NAN, 3, &nulls[2]);
	values[3] = ResultRounded(trial->seconds, 2, &nulls[3]);
	values[4] = Int32GetDatum(trial->result.epochs);
	values[5] = Int32GetDatum(trial->rung + 1);
	values[6] = JsonbPGetDatum(trial->varied);
	nulls[7] = has_result && trial->note == NULL;
	values[7] = nulls[7] ? (Datum) 0 : CStringGetTextDatum(trial->note != NULL ? trial->note : "not tried");
	tuplestore_putvalues(result->store, result->desc, values, nulls);
}

/* ------------------------------------------------------------------ arguments */

static void
ReadArguments(Tuning *tuning, FunctionCallInfo fcinfo)
{
	TrainJob   *job = tuning->job;
	double		budget;

	job->model_name = "moemlora_tune";
	job->source = ArgumentText(fcinfo, 0, "source");
	job->label_name = ArgumentText(fcinfo, 1, "label");
	job->domain_name = ArgumentText(fcinfo, 2, "domain");
	job->features = TrainFeaturesArgument(fcinfo, 3);
	if (PG_ARGISNULL(4))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("argument \"grid\" must not be NULL")));
	budget = PG_ARGISNULL(5) ? INFINITY : PG_GETARG_FLOAT8(5);
	if (!(budget > 0.0))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("argument \"budget_seconds\" must be above 0")));
	tuning->deadline = SecondsNow(tuning) + budget;
}

/* Reads the source into the rows that all trials share. */
static void
ReadRows(Tuning *tuning)
{
	TrainJob   *job = tuning->job;

	job->options = tuning->trials[0].options;
	TrainJobRead(job, TrainJobPrepare(job));
	if (mml_rows_validating(job->rows) == 0)
		ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
						errmsg("there are no validation rows to rank by"),
						errhint("Raise \"validation\", or mark some rows \"valid\" in the split column.")));
}

/* moemlora_tune(source, label, domain, features, grid, budget_seconds) */
Datum
moemlora_tune(PG_FUNCTION_ARGS)
{
	TrainJob   *job = TrainJobCreate();
	MemoryContext caller = MemoryContextSwitchTo(job->context);
	Tuning		tuning = {.job = job};
	ResultRows	result;
	int			i;

	ResultRowsBegin(fcinfo, 8, &result);
	ReadArguments(&tuning, fcinfo);
	MakeTrials(&tuning, TuneGridParse(PG_GETARG_JSONB_P(4)));
	tuning.epochs = tuning.trials[0].options->config.epochs;
	tuning.n_rungs = mml_halving_rungs(tuning.n_trials, tuning.epochs);
	job->train_host.report = TuneReport;
	ProgressBegin(job->model_name);
	PG_TRY();
	{
		ReadRows(&tuning);
		RunRungs(&tuning);
		CheckTrials(&tuning);
	}
	PG_FINALLY();
	{
		ProgressEnd();
	}
	PG_END_TRY();
	for (i = 0; i < tuning.n_trials; i++)
		PutTrial(&result, &tuning.trials[i], i + 1);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(job->context);
	return (Datum) 0;
}
