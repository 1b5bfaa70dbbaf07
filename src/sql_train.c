/*
 * sql_train.c - moemlora_train(): rows of a query in, a stored version out.
 *
 * The executor pushes the source's rows straight into the core's encoded rows,
 * the core trains on them, and the new version is written at the end: whatever
 * goes wrong before, nothing is stored.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "nodes/value.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "train_host.h"

PG_FUNCTION_INFO_V1(moemlora_train);

/* The arguments. */
typedef enum TrainArgument
{
	ARG_MODEL, ARG_SOURCE, ARG_LABEL, ARG_DOMAIN, ARG_FEATURES, ARG_OPTIONS
} TrainArgument;

static const char *const argument_names[] = {
	[ARG_MODEL] = "model",
	[ARG_SOURCE] = "source",
	[ARG_LABEL] = "label",
	[ARG_DOMAIN] = "domain",
	[ARG_FEATURES] = "features",
	[ARG_OPTIONS] = "options",
};

/* One call, from its arguments to the model. */
typedef struct TrainJob
{
	TrainHost	train_host;
	mml_host   *host;			/* its */
	MemoryContext context;
	MemoryContext row_context;	/* reset at every row */

	/* Arguments */
	const char *arguments[ARG_FEATURES];
	List	   *features;		/* of String nodes; NIL: all columns */
	TrainOptions *options;

	/* What a warm start goes on from; NULL: there is none. */
	mml_model  *previous;
	int32		previous_version;

	/* The source's columns, once it runs */
	Binding    *binding;
	FactColumn *label;
	FactColumn *domain;
	FactColumn *split;			/* NULL: not given; so below */
	FactColumn *time;
	FactColumn *weight;
	int			last_column;
	List	   *feature_names;

	/* Its rows */
	mml_rows   *rows;
	int64		n_read;
	int64		n_left_out;

	/* What the core reported */
	mml_epoch  *epochs;
	int			n_epochs;
	int			epochs_held;
} TrainJob;

/* ------------------------------------------------------------------- reports */

/* Keeps what an epoch did for the catalog, and shows it. */
static void
JobReport(void *self, const mml_epoch *epoch)
{
	TrainJob   *job = self;
	MemoryContext caller;

	ProgressReport(epoch);
	if (epoch->is_running)
		return;
	caller = MemoryContextSwitchTo(job->context);
	if (job->n_epochs == job->epochs_held)
	{
		job->epochs_held = job->epochs_held == 0 ? 64 : job->epochs_held * 2;
		job->epochs = job->epochs == NULL ? palloc(job->epochs_held * sizeof(mml_epoch)) :
			repalloc_huge(job->epochs, job->epochs_held * sizeof(mml_epoch));
	}
	job->epochs[job->n_epochs] = *epoch;
	if (epoch->domain_name != NULL)
		job->epochs[job->n_epochs].domain_name = pstrdup(epoch->domain_name);
	job->n_epochs++;
	MemoryContextSwitchTo(caller);
}

/* --------------------------------------------------------------- the source */

/* A column can play one part only. */
static void
CheckRoles(const TrainJob *job)
{
	const struct
	{
		const char *role;
		const char *column;
	}			roles[] = {
		{"the label", job->arguments[ARG_LABEL]},
		{"the domain", job->arguments[ARG_DOMAIN]},
		{"split_column", job->options->split_column},
		{"time_column", job->options->time_column},
		{"weight_column", job->options->weight_column},
	};
	int			i;
	int			j;

	for (i = 0; i < (int) lengthof(roles); i++)
	{
		for (j = 0; j < i; j++)
		{
			if (roles[i].column != NULL && roles[j].column != NULL && strcmp(roles[i].column, roles[j].column) == 0)
				ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
								errmsg("column \"%s\" cannot be %s and %s", roles[i].column, roles[j].role,
									   roles[i].role)));
		}
	}
}

static FactColumn *
FindFact(TrainJob *job, TupleDesc desc, const char *name, FactRole role)
{
	FactColumn *fact;

	if (name == NULL)
		return NULL;
	fact = FactColumnFind(desc, name, role);
	job->last_column = Max(job->last_column, FactColumnNumber(fact));
	return fact;
}

/* Columns to features.  An order that nobody asked for may be that of the version before. */
static void
BindFeatures(TrainJob *job, TupleDesc desc, mml_field_spec **specs, int *n_specs)
{
	List	   *features;

	job->binding = BindingForTraining(desc, job->features, job->arguments[ARG_LABEL], job->arguments[ARG_DOMAIN],
									  job->options, specs, n_specs);
	if (job->previous == NULL || job->features != NIL)
		return;
	features = WarmStartFeatures(job->previous, *specs, *n_specs);
	if (features != NIL)
		job->binding = BindingForTraining(desc, features, job->arguments[ARG_LABEL], job->arguments[ARG_DOMAIN],
										  job->options, specs, n_specs);
}

/* The columns are known: binds them and makes the set of rows. */
static void
JobStart(void *self, TupleDesc desc)
{
	TrainJob   *job = self;
	MemoryContext caller = MemoryContextSwitchTo(job->context);
	TrainOptions *options = job->options;
	mml_field_spec *specs;
	int			n_specs;
	int			i;

	job->label = FindFact(job, desc, job->arguments[ARG_LABEL], FACT_LABEL);
	job->domain = FindFact(job, desc, job->arguments[ARG_DOMAIN], FACT_DOMAIN);
	job->split = FindFact(job, desc, options->split_column, FACT_SPLIT);
	job->time = FindFact(job, desc, options->time_column, FACT_TIME);
	job->weight = FindFact(job, desc, options->weight_column, FACT_WEIGHT);
	BindFeatures(job, desc, &specs, &n_specs);
	job->last_column = Max(job->last_column, BindingLastColumn(job->binding));
	for (i = 0; i < n_specs; i++)
		job->feature_names = lappend(job->feature_names, makeString(pstrdup(specs[i].name)));
	BridgeCheck(job->host, mml_rows_create_training(job->host, &options->config, specs, n_specs, &job->rows));
	if (job->previous != NULL)
		BridgeCheck(job->host, mml_rows_start_from(job->rows, job->previous, job->previous_version));
	MemoryContextSwitchTo(caller);
}

/* Label, domain and so on of the row; false: it is left out. */
static bool
ReadFacts(TrainJob *job, TupleTableSlot *slot, mml_row_facts *facts)
{
	const Datum *values = slot->tts_values;
	const bool *nulls = slot->tts_isnull;
	bool		is_test = false;

	memset(facts, 0, sizeof(*facts));
	facts->weight = 1.0;
	facts->split = MML_SPLIT_AUTO;
	if (!FactNumber(job->label, values, nulls, job->n_read, &facts->label) ||
		!FactDomain(job->domain, values, nulls, &facts->domain, &facts->domain_length))
	{
		job->n_left_out++;
		return false;
	}
	if (job->split != NULL)
		facts->split = FactSplit(job->split, values, nulls, job->n_read, &is_test);
	if (is_test)
		return false;
	facts->has_time = job->time != NULL;
	if (job->time != NULL)
		facts->time = FactTime(job->time, values, nulls, job->n_read);
	if (job->weight != NULL)
		(void) FactNumber(job->weight, values, nulls, job->n_read, &facts->weight);
	return true;
}

/* Encodes one row. */
static void
JobRow(void *self, TupleTableSlot *slot)
{
	TrainJob   *job = self;
	MemoryContext caller;
	mml_row_facts facts;

	job->n_read++;
	slot_getsomeattrs(slot, job->last_column);
	MemoryContextReset(job->row_context);
	caller = MemoryContextSwitchTo(job->row_context);
	if (ReadFacts(job, slot, &facts))
	{
		BindingBeginRow(job->binding, slot->tts_values, slot->tts_isnull);
		CheckTrainingRows(&job->train_host, job->rows, mml_rows_begin(job->rows), job->n_read);
		BindingPutValues(job->binding, job->host, job->rows, slot->tts_values, slot->tts_isnull, job->n_read);
		CheckTrainingRows(&job->train_host, job->rows, mml_rows_end_training(job->rows, &facts), job->n_read);
	}
	MemoryContextSwitchTo(caller);
}

/* Reads the source to its end. */
static void
ReadRows(TrainJob *job, const char *query)
{
	RowSourceSink sink = {.start = JobStart, .row = JobRow, .self = job};

	RowSourceRun(query, &sink);
	if (job->n_left_out > 0)
		ereport(NOTICE, (errmsg_plural(INT64_FORMAT " row was left out because its label or domain is NULL",
									   INT64_FORMAT " rows were left out because label or domain is NULL",
									   (unsigned long) job->n_left_out, job->n_left_out)));
	if (mml_rows_count(job->rows) == 0)
		ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
						errmsg("the source has no rows to train on"),
						job->split == NULL ?
						errdetail("Read " INT64_FORMAT " rows; left out " INT64_FORMAT " with NULL label or domain.",
								  job->n_read, job->n_left_out) :
						errdetail("Read " INT64_FORMAT " rows; left out " INT64_FORMAT
								  " with NULL label or domain and " INT64_FORMAT " to test with.",
								  job->n_read, job->n_left_out, job->n_read - job->n_left_out)));
}

/* -------------------------------------------------------------- the arguments */

/* A text argument that must be there. */
static char *
TextArgument(FunctionCallInfo fcinfo, TrainArgument argument)
{
	if (PG_ARGISNULL(argument))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("argument \"%s\" must not be NULL", argument_names[argument])));
	return text_to_cstring(PG_GETARG_TEXT_PP(argument));
}

/* A List of String nodes; NIL for NULL. */
static List *
FeaturesArgument(FunctionCallInfo fcinfo)
{
	List	   *features = NIL;
	ArrayType  *array;
	Datum	   *names;
	bool	   *nulls;
	int			n_names;
	int			i;

	if (PG_ARGISNULL(ARG_FEATURES))
		return NIL;
	array = PG_GETARG_ARRAYTYPE_P(ARG_FEATURES);
	if (ARR_NDIM(array) > 1)
		ereport(ERROR, (errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
						errmsg("argument \"features\" must be an array of one dimension"),
						errdetail("It has %d.", ARR_NDIM(array))));
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &names, &nulls, &n_names);
	for (i = 0; i < n_names; i++)
	{
		if (nulls[i])
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("argument \"features\" must not have NULL elements")));
		features = lappend(features, makeString(TextDatumGetCString(names[i])));
	}
	if (features == NIL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("argument \"features\" is an empty array"),
						errhint("Use NULL for all columns but label and domain.")));
	return features;
}

static void
ReadArguments(TrainJob *job, FunctionCallInfo fcinfo)
{
	int			i;

	for (i = ARG_MODEL; i <= ARG_DOMAIN; i++)
		job->arguments[i] = TextArgument(fcinfo, i);
	job->features = FeaturesArgument(fcinfo);
	if (PG_ARGISNULL(ARG_OPTIONS))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("argument \"options\" must not be NULL"),
						errhint("Leave it out, or use '{}'.")));
	job->options = OptionsParse(PG_GETARG_JSONB_P(ARG_OPTIONS));
	CheckRoles(job);
}

/* ------------------------------------------------------------------ the result */

/* Stores the version; returns its number. */
static int32
SaveModel(TrainJob *job, const mml_model *model, double seconds)
{
	ModelDescription description;

	memset(&description, 0, sizeof(description));
	description.name = job->arguments[ARG_MODEL];
	description.source = job->arguments[ARG_SOURCE];
	description.label = job->arguments[ARG_LABEL];
	description.domain = job->arguments[ARG_DOMAIN];
	description.features = job->feature_names;
	description.feature_types = BindingTypeNames(job->binding);
	description.options = job->options->given;
	description.search_path = namespace_search_path;
	description.seconds = seconds;
	description.rows_left_out = job->n_left_out;
	description.epochs = job->epochs;
	description.n_epochs = job->n_epochs;
	return ModelStoreSave(model, &description);
}

/* One row of the result. */
static void
PutPhase(ResultRows *result, int32 version, const mml_phase_summary *phase)
{
	Datum		values[11];
	bool		nulls[11] = {false};

	values[0] = Int32GetDatum(version);
	values[1] = CStringGetTextDatum(mml_phase_name((mml_phase) phase->phase));
	values[2] = Int32GetDatum(phase->epochs);
	values[3] = Int64GetDatum(phase->rows);
	values[4] = ResultFloat(phase->seconds, &nulls[4]);
	values[5] = ResultFloat(phase->rows_per_second, &nulls[5]);
	values[6] = ResultFloat(phase->train_logloss, &nulls[6]);
	values[7] = ResultFloat(phase->valid_logloss, &nulls[7]);
	values[8] = ResultFloat(phase->valid_auc, &nulls[8]);
	values[9] = ResultFloat(phase->valid_wauc, &nulls[9]);
	nulls[10] = phase->note[0] == '\0';
	values[10] = nulls[10] ? (Datum) 0 : CStringGetTextDatum(phase->note);
	tuplestore_putvalues(result->store, result->desc, values, nulls);
}

/* What a person should know of a phase, other than that it is not used. */
static void
TellNotes(const mml_model *model)
{
	int			i;

	for (i = 0; i < mml_model_phases(model); i++)
	{
		const mml_phase_summary *phase = mml_model_phase(model, i);

		if (phase->note[0] != '\0' && strcmp(phase->note, "not used") != 0)
			ereport(NOTICE, (errmsg("phase %s: %s", mml_phase_name((mml_phase) phase->phase), phase->note)));
	}
}

/* Reads, trains, stores. */
static void
RunJob(TrainJob *job, const char *query, ResultRows *result)
{
	double		start = job->host->seconds(job->host->self);
	mml_model  *model;
	int32		version;
	int			i;

	if (job->options->warm_start)
		job->previous = WarmStartLoad(job->host, job->arguments[ARG_MODEL], &job->previous_version);
	ReadRows(job, query);
	CheckTrainingRows(&job->train_host, job->rows, mml_rows_finish(job->rows), 0);
	model = TrainInParallel(&job->train_host, job->rows, job->options, NOTICE);
	mml_rows_free(job->rows);
	TellNotes(model);
	version = SaveModel(job, model, job->host->seconds(job->host->self) - start);
	ereport(DEBUG1,
			(errmsg_internal("training took %zu kB of memory, moemlora.training_memory allows %d kB",
							 (job->host->memory_peak + 1023) / 1024, GucTrainingMemoryKb)));
	for (i = 0; i < mml_model_phases(model); i++)
		PutPhase(result, version, mml_model_phase(model, i));
}

/* moemlora_train(model, source, label, domain, features, options) */
Datum
moemlora_train(PG_FUNCTION_ARGS)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "moemlora train", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	TrainJob   *job = palloc0(sizeof(TrainJob));
	ResultRows	result;
	char	   *query;

	job->context = context;
	job->row_context = AllocSetContextCreate(context, "moemlora train row", ALLOCSET_DEFAULT_SIZES);
	ResultRowsBegin(fcinfo, &result);
	TrainHostInit(&job->train_host, context, JobReport, job);
	job->host = &job->train_host.host;
	ReadArguments(job, fcinfo);
	query = RowSourceQuery(job->arguments[ARG_SOURCE]);
	ModelStoreBegin(job->arguments[ARG_MODEL], "moemlora_train()");
	ProgressBegin(job->arguments[ARG_MODEL]);
	PG_TRY();
	{
		RunJob(job, query, &result);
	}
	PG_FINALLY();
	{
		ProgressEnd();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	return (Datum) 0;
}
