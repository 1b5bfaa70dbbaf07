/*
 * train_job.c - one training, from a query to a stored version.
 *
 * The executor pushes the source's rows straight into the core's encoded rows,
 * the core trains on them, and the new version is written at the end: whatever
 * goes wrong before, nothing is stored.
 */
#include "postgres.h"

#include "nodes/value.h"
#include "utils/memutils.h"

#include "train_job.h"

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

	job->binding = BindingForTraining(desc, job->features, job->label_name, job->domain_name,
									  job->options, specs, n_specs);
	if (job->previous == NULL || job->features != NIL)
		return;
	features = WarmStartFeatures(job->previous, *specs, *n_specs);
	if (features != NIL)
		job->binding = BindingForTraining(desc, features, job->label_name, job->domain_name,
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

	job->label = FindFact(job, desc, job->label_name, FACT_LABEL);
	job->domain = FindFact(job, desc, job->domain_name, FACT_DOMAIN);
	job->split = FindFact(job, desc, options->split_column, FACT_SPLIT);
	job->time = FindFact(job, desc, options->time_column, FACT_TIME);
	job->weight = FindFact(job, desc, options->weight_column, FACT_WEIGHT);
	BindFeatures(job, desc, &specs, &n_specs);
	if (job->promotion != NULL)
		PromotionBind(job->promotion, desc);
	job->last_column = Max(job->last_column, BindingLastColumn(job->binding));
	for (i = 0; i < n_specs; i++)
		job->feature_names = lappend(job->feature_names, makeString(pstrdup(specs[i].name)));
	BridgeCheck(job->host, mml_rows_create_training(job->host, &options->config, specs, n_specs, &job->rows));
	if (job->addition != NULL)
		BridgeCheck(job->host, mml_rows_add_domain(job->rows, job->addition->previous, job->addition->version,
												   job->addition->domain, strlen(job->addition->domain)));
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
	if (is_test || (job->addition != NULL && !AdditionTakes(job->addition, facts)))
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
		if (job->promotion != NULL)
			PromotionPutRow(job->promotion, slot, &facts, job->n_read);
	}
	MemoryContextSwitchTo(caller);
}

/* Reads the source to its end. */
void
TrainJobRead(TrainJob *job, const char *query)
{
	RowSourceSink sink = {.start = JobStart, .row = JobRow, .self = job};

	RowSourceRun(query, &sink);
	if (job->n_left_out > 0)
		ereport(NOTICE, (errmsg_plural(INT64_FORMAT " row was left out because its label or domain is NULL",
									   INT64_FORMAT " rows were left out because label or domain is NULL",
									   (unsigned long) job->n_left_out, job->n_left_out)));
	if (job->addition != NULL)
		AdditionCheckRows(job->addition, job->rows, job->options);
	if (mml_rows_count(job->rows) == 0)
		ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
						errmsg("the source has no rows to train on"),
						job->split == NULL ?
						errdetail("Read " INT64_FORMAT " rows; left out " INT64_FORMAT " with NULL label or domain.",
								  job->n_read, job->n_left_out) :
						errdetail("Read " INT64_FORMAT " rows; left out " INT64_FORMAT
								  " with NULL label or domain and " INT64_FORMAT " to test with.",
								  job->n_read, job->n_left_out, job->n_read - job->n_left_out)));
	CheckTrainingRows(&job->train_host, job->rows, mml_rows_finish(job->rows), 0);
	if (job->promotion != NULL)
		PromotionTakeRows(job->promotion, job->rows);
}

/* ------------------------------------------------------------------ the model */

/* Stores the version; returns its number. */
static int32
SaveModel(TrainJob *job, const mml_model *model, double seconds)
{
	ModelDescription description;
	int32		version;

	memset(&description, 0, sizeof(description));
	description.name = job->model_name;
	description.source = job->source;
	description.label = job->label_name;
	description.domain = job->domain_name;
	description.features = job->feature_names;
	description.feature_types = BindingTypeNames(job->binding);
	description.options = job->options->given;
	description.added = job->added;
	description.search_path = job->search_path;
	description.seconds = seconds;
	description.rows_left_out = job->n_left_out;
	description.epochs = job->epochs;
	description.n_epochs = job->n_epochs;
	description.first_epoch = job->first_epoch;
	if (job->promotion != NULL)
		PromotionDecide(job->promotion, model, &description.decision);
	if (job->addition != NULL)
		AdditionDescribe(job->addition, &description);
	version = ModelStoreSave(model, &description);
	if (job->addition != NULL && description.decision.is_kept_back)
		PromotionTell(job->model_name, version, &description.decision);
	if (job->promotion != NULL)
		PromotionTell(job->model_name, version, &description.decision);
	return version;
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

/* --------------------------------------------------------------------- the job */

/* A column can play one part only. */
static void
CheckRoles(const TrainJob *job)
{
	const struct
	{
		const char *role;
		const char *column;
	}			roles[] = {
		{"the label", job->label_name},
		{"the domain", job->domain_name},
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

TrainJob *
TrainJobCreate(void)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "moemlora train", ALLOCSET_DEFAULT_SIZES);
	TrainJob   *job = MemoryContextAllocZero(context, sizeof(TrainJob));

	job->context = context;
	job->row_context = AllocSetContextCreate(context, "moemlora train row", ALLOCSET_DEFAULT_SIZES);
	TrainHostInit(&job->train_host, context, JobReport, job);
	job->host = &job->train_host.host;
	return job;
}

/* Checks what can be checked without the source; returns the query over it. */
char *
TrainJobPrepare(TrainJob *job)
{
	CheckRoles(job);
	return RowSourceQuery(job->source);
}

void
TrainJobBegin(TrainJob *job)
{
	job->started = job->host->seconds(job->host->self);
	ProgressBegin(job->model_name);
}

void
TrainJobEnd(void)
{
	ProgressEnd();
}

double
TrainJobSeconds(const TrainJob *job)
{
	return job->seconds_before + job->host->seconds(job->host->self) - job->started;
}

bool
TrainJobTrain(TrainJob *job)
{
	job->model = TrainInParallel(&job->train_host, job->rows, job->options, NOTICE);
	mml_rows_free(job->rows);
	job->rows = NULL;
	if (job->model == NULL)
		return false;
	TellNotes(job->model);
	return true;
}

void
TrainJobStore(TrainJob *job)
{
	job->version = SaveModel(job, job->model, TrainJobSeconds(job));
	ereport(DEBUG1,
			(errmsg_internal("training took %zu kB of memory, moemlora.training_memory allows %d kB",
							 (job->host->memory_peak + 1023) / 1024, GucTrainingMemoryKb)));
}

/* The model has been taken for it: ModelStoreBegin(). */
void
TrainJobRun(TrainJob *job, const char *query)
{
	TrainJobBegin(job);
	PG_TRY();
	{
		TrainJobRead(job, query);
		(void) TrainJobTrain(job);
		TrainJobStore(job);
	}
	PG_FINALLY();
	{
		TrainJobEnd();
	}
	PG_END_TRY();
}
