/*
 * sql_retrain.c - moemlora_retrain(): trains a model again as its current version
 * was trained.
 *
 * Who calls it may be a superuser's scheduled job, and the source is somebody
 * else's code.  So everything between RestrictedBegin() and RestrictedEnd()
 * runs with the rights of the model's owner, and names are looked up as they were
 * at training.
 *
 * Where it may end the transaction, it stores a checkpoint after every epoch and
 * commits.  The lock that keeps others from the model is the session's then.
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "nodes/parsenodes.h"
#include "nodes/value.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "checkpoint.h"
#include "options.h"
#include "restricted.h"
#include "train_job.h"

PG_FUNCTION_INFO_V1(moemlora_retrain);

/* One call. */
typedef struct Retrain
{
	const char *model_name;
	Jsonb	   *given;			/* options of the call */
	bool		is_atomic;		/* the transaction is the caller's to end */
	int64		model_id;
	Oid			owner;
	bool		is_resumed;		/* there is a checkpoint, and it is asked for */
	bool		is_changed;		/* but it is of other rows or options: only its model is of use */
	CheckpointRow checkpoint;
	TrainJob   *job;
	CheckpointWriter *writer;
	mml_standing standing;		/* at the last pause */
} Retrain;

/* ------------------------------------------------------------------ the owner */

static Oid
OwnerId(const char *model_name, const char *owner)
{
	Oid			role = get_role_oid(owner, true);

	if (!OidIsValid(role))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("the owner of model \"%s\" does not exist", model_name),
						errdetail("There is no role \"%s\", with whose rights to read the source.", owner),
						errhint("Give the model to another role with moemlora_owner_to().")));
	return role;
}

/* Nothing keeps a role from being dropped meanwhile. */
static void
CheckOwner(const Retrain *retrain)
{
	if (!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(retrain->owner)))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("the owner of model \"%s\" was dropped while it was trained", retrain->model_name),
						errhint("Give the model to another role with moemlora_owner_to(), then call moemlora_retrain() with \"resume\".")));
}

/* ---------------------------------------------------------- what was trained */

/* To the caller, and to the server's log: a scheduled run has no other witness. */
static void
Tell(const char *text)
{
	ereport(NOTICE, (errmsg_internal("%s", text)));
	ereport(LOG_SERVER_ONLY, (errmsg_internal("%s", text)));
}

/* The texts of an array, as String nodes. */
static List *
TextsOf(const JsonbValue *array)
{
	JsonbIterator *iterator = JsonbIteratorInit(array->val.binary.data);
	JsonbIteratorToken token;
	JsonbValue	item;
	List	   *texts = NIL;

	while ((token = JsonbIteratorNext(&iterator, &item, true)) != WJB_DONE)
	{
		if (token == WJB_ELEM && item.type == jbvString)
			texts = lappend(texts, makeString(OptionText(&item)));
	}
	return texts;
}

static const char *
TextOf(const JsonbValue *value)
{
	return value->type == jbvString ? OptionText(value) : NULL;
}

/* Takes over what the version's training was given; returns its options. */
Jsonb *
RetrainReadSpec(TrainJob *job, Jsonb *spec)
{
	JsonbIterator *iterator = JsonbIteratorInit(&spec->root);
	JsonbValue	value;
	Jsonb	   *options = NULL;
	char	   *key;

	while (OptionNextKey(&iterator, &key, &value))
	{
		if (strcmp(key, "source") == 0)
			job->source = TextOf(&value);
		else if (strcmp(key, "label") == 0)
			job->label_name = TextOf(&value);
		else if (strcmp(key, "domain") == 0)
			job->domain_name = TextOf(&value);
		else if (strcmp(key, "search_path") == 0)
			job->search_path = TextOf(&value);
		else if (strcmp(key, "features") == 0 && value.type == jbvBinary)
			job->features = TextsOf(&value);
		else if (strcmp(key, "options") == 0 && value.type == jbvBinary)
			options = JsonbValueToJsonb(&value);
		else if (strcmp(key, "added") == 0 && value.type == jbvBinary)
			job->added = JsonbValueToJsonb(&value);
	}
	return options;
}

void
RetrainCheckSpec(const TrainJob *job, int32 version)
{
	if (job->source == NULL || job->label_name == NULL || job->domain_name == NULL || job->search_path == NULL)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("version %d of model \"%s\" has no source to train from", version, job->model_name),
						errdetail("It is the current version, and it was imported."),
						errhint("Train the model with moemlora_train(), or make a version current that was trained here.")));
}

/* Whether there is a run to resume: one that would have followed the current version. */
static bool
FindRun(Retrain *retrain, int32 version, Snapshot snapshot)
{
	if (!CheckpointFind(retrain->model_id, snapshot, &retrain->checkpoint))
		ereport(NOTICE, (errmsg("model \"%s\" has no checkpoint: training begins anew", retrain->model_name)));
	else if (retrain->checkpoint.version != version)
		Tell(psprintf("model \"%s\": the run before went on from version %d, and version %d is current now: training begins anew",
					  retrain->model_name, retrain->checkpoint.version, version));
	else
		return true;
	return false;
}

/* The options of the call, and of the run that it resumes. */
static void
ReadOptions(Retrain *retrain, Jsonb *stored, int32 version, Snapshot snapshot)
{
	TrainJob   *job = retrain->job;

	job->options = OptionsParseRetrain(stored, retrain->given);
	if (!job->options->resume)
		return;
	retrain->is_resumed = FindRun(retrain, version, snapshot);
	retrain->given = OptionsResumed(retrain->is_resumed ? retrain->checkpoint.options : NULL, retrain->given);
	job->options = OptionsParseRetrain(stored, retrain->given);
}

/* What training goes on from, and what the new version must beat. */
static void
ReadVersions(Retrain *retrain, const ModelVersion *version, Snapshot snapshot)
{
	TrainJob   *job = retrain->job;
	mml_model  *current = NULL;

	if (job->options->warm_start || PromotionCompares(job->promotion))
		current = ModelStoreLoad(job->host, version, snapshot);
	if (retrain->is_changed)
	{
		/* it must not be the one that PromotionTakeRows() frees */
		job->previous = CheckpointLoadModel(job->host, retrain->model_id, snapshot);
		job->options->warm_start = false;
	}
	else if (job->options->warm_start)
		job->previous = current;
	if (job->previous != NULL)
		job->previous_version = version->number;
	if (PromotionCompares(job->promotion))
		PromotionSetCurrent(job->promotion, current, version->number);
}

/* Everything about the current version that the job needs; returns its number. */
static int32
ReadCurrent(Retrain *retrain)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TrainJob   *job = retrain->job;
	ModelVersion version;
	Jsonb	   *stored;

	PushActiveSnapshot(snapshot);
	ModelStoreResolve(job->model_name, 0, snapshot, MODEL_MANAGE, &version);
	retrain->model_id = version.model_id;
	retrain->owner = OwnerId(job->model_name, version.owner);
	stored = RetrainReadSpec(job, ModelStoreSpec(&version, snapshot));
	RetrainCheckSpec(job, version.number);
	if (retrain->is_changed)
		job->options = OptionsParseRetrain(stored, retrain->given);
	else
		ReadOptions(retrain, stored, version.number, snapshot);
	job->promotion = PromotionCreate(job->host, job->options);
	ReadVersions(retrain, &version, snapshot);
	PopActiveSnapshot();
	UnregisterSnapshot(snapshot);
	return version.number;
}

/* -------------------------------------------------------------- checkpoints */

static void
Commit(void)
{
	SPI_commit();
	SPI_start_transaction();
}

/* The run's row: it shows, and what was there before does no more. */
static void
ShowRun(Retrain *retrain, int32 version)
{
	const TrainJob *job = retrain->job;

	if (retrain->is_atomic)
		return;
	if (retrain->is_resumed)
		CheckpointTakeOver(retrain->model_id);
	else
		CheckpointCreate(retrain->model_id, version, OptionsResumed(NULL, retrain->given));
	ereport(LOG_SERVER_ONLY, (errmsg("model \"%s\" is trained again%s", job->model_name,
									 retrain->is_resumed ? ": the run before is resumed" : "")));
	Commit();
}

/* Takes up the run of the checkpoint; false: it was another one. */
static bool
Resume(Retrain *retrain, mml_run *run, const uint64 *identity)
{
	TrainJob   *job = retrain->job;

	if (!retrain->checkpoint.has_parts)
	{
		Tell(psprintf("model \"%s\": no epoch of the run before was done: training begins anew", job->model_name));
		return true;
	}
	if (memcmp(identity, retrain->checkpoint.identity, sizeof(retrain->checkpoint.identity)) != 0)
		return false;
	PushActiveSnapshot(GetTransactionSnapshot());
	CheckpointRestore(job->host, run, retrain->model_id, GetActiveSnapshot());
	PopActiveSnapshot();
	job->first_epoch = retrain->checkpoint.n_epochs;
	job->seconds_before = retrain->checkpoint.seconds;
	mml_run_standing(run, &retrain->standing);
	Tell(psprintf("model \"%s\": training is resumed in phase %s, after %d epochs of it", job->model_name,
				  mml_phase_name(retrain->standing.phase), retrain->standing.epoch));
	return true;
}

/* TrainPauses: the rows are read. */
static bool
BeginRun(void *self, mml_run *run)
{
	Retrain    *retrain = self;
	TrainJob   *job = retrain->job;
	uint64		identity[MML_IDENTITY_WORDS];

	BridgeCheck(job->host, mml_run_identity(run, identity));
	if (retrain->is_resumed && !retrain->is_changed && !Resume(retrain, run, identity))
	{
		retrain->is_changed = true;
		return false;
	}
	if (retrain->is_resumed && !retrain->is_atomic)
		CheckpointSetOptions(retrain->model_id, OptionsResumed(NULL, retrain->given));
	mml_run_standing(run, &retrain->standing);
	retrain->writer = CheckpointWriterCreate(job->host, retrain->model_id, identity);
	return true;
}

/* TrainPauses: an epoch is done. */
static void
StoreEpoch(void *self, const mml_run *run)
{
	Retrain    *retrain = self;
	TrainJob   *job = retrain->job;
	mml_phase	before = retrain->standing.phase;

	CheckpointSave(retrain->writer, run, TrainJobSeconds(job), job->epochs, job->first_epoch, job->n_epochs);
	job->first_epoch += job->n_epochs;
	job->n_epochs = 0;
	mml_run_standing(run, &retrain->standing);
	if (retrain->standing.phase != before)
		ereport(LOG_SERVER_ONLY, (errmsg("model \"%s\": phase %s is done, phase %s is next; %.0f s of work so far",
										 job->model_name, mml_phase_name(before),
										 mml_phase_name(retrain->standing.phase), TrainJobSeconds(job))));
	Commit();
}

/* --------------------------------------------------------------------- a run */

/* With the owner's rights, and a snapshot, which a transaction of ours has not got. */
static void
AsOwner(Retrain *retrain, void (*step) (Retrain *retrain))
{
	RestrictedCaller caller;

	CheckOwner(retrain);
	PushActiveSnapshot(GetTransactionSnapshot());
	RestrictedBegin(&caller, retrain->owner, retrain->job->search_path);
	step(retrain);
	RestrictedEnd(&caller);
	PopActiveSnapshot();
}

static void
Read(Retrain *retrain)
{
	TrainJobRead(retrain->job, TrainJobPrepare(retrain->job));
}

static void
Store(Retrain *retrain)
{
	TrainJobStore(retrain->job);
}

/* False: the checkpoint is of other rows or options than there are now, and nothing was trained. */
static bool
Train(Retrain *retrain)
{
	TrainPauses pauses = {.begin = BeginRun, .pause = retrain->is_atomic ? NULL : StoreEpoch, .self = retrain};
	TrainJob   *job = retrain->job;
	volatile bool is_done = false;

	job->train_host.pauses = &pauses;
	TrainJobBegin(job);
	PG_TRY();
	{
		AsOwner(retrain, Read);
		is_done = TrainJobTrain(job);
		if (is_done)
			AsOwner(retrain, Store);
	}
	PG_FINALLY();
	{
		TrainJobEnd();
	}
	PG_END_TRY();
	return is_done;
}

/* One job, from the current version to a new one. */
static bool
RunJob(Retrain *retrain)
{
	TrainJob   *job = TrainJobCreate();
	MemoryContext outer = MemoryContextSwitchTo(job->context);
	bool		is_done;

	retrain->job = job;
	job->model_name = retrain->model_name;
	ShowRun(retrain, ReadCurrent(retrain));
	is_done = Train(retrain);
	if (is_done)
		AdditionTellMissing(job->added, job->model);
	MemoryContextSwitchTo(outer);
	/* options that were put together lie there */
	retrain->given = is_done ? NULL : (Jsonb *) PG_DETOAST_DATUM_COPY(JsonbPGetDatum(retrain->given));
	MemoryContextDelete(job->context);
	return is_done;
}

static void
RunRetrain(Retrain *retrain)
{
	if (RunJob(retrain))
		return;
	Tell(psprintf("model \"%s\": the rows or options are not those of the run before: training begins anew "
				  "with what it had learned", retrain->model_name));
	if (!RunJob(retrain))
		elog(ERROR, "a run that begins anew was refused");
}

/* Commits on its way; whatever happens, the lock goes. */
static void
RunAcrossTransactions(Retrain *retrain)
{
	if (SPI_connect_ext(SPI_OPT_NONATOMIC) != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	ModelStoreHold(retrain->model_name, "moemlora_retrain()");
	PG_TRY();
	{
		RunRetrain(retrain);
	}
	PG_FINALLY();
	{
		ModelStoreRelease(retrain->model_name);
	}
	PG_END_TRY();
	SPI_finish();
}

static void
RunInTransaction(Retrain *retrain)
{
	ereport(NOTICE, (errmsg("moemlora_retrain() runs inside a transaction: it stores nothing on its way, and cannot be resumed"),
					 errhint("Call it by itself, outside a transaction block.")));
	ModelStoreBegin(retrain->model_name, "moemlora_retrain()");
	RunRetrain(retrain);
}

/* moemlora_retrain(model, options) */
Datum
moemlora_retrain(PG_FUNCTION_ARGS)
{
	Retrain    *retrain = palloc0(sizeof(Retrain));

	retrain->model_name = ArgumentText(fcinfo, 0, "model");
	if (PG_ARGISNULL(1))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("argument \"options\" must not be NULL"),
						errhint("Leave it out, or use '{}'.")));
	retrain->given = PG_GETARG_JSONB_P_COPY(1);
	retrain->is_atomic = fcinfo->context == NULL || !IsA(fcinfo->context, CallContext) ||
		castNode(CallContext, fcinfo->context)->atomic || IsSubTransaction();
	if (retrain->is_atomic)
		RunInTransaction(retrain);
	else
		RunAcrossTransactions(retrain);
	return (Datum) 0;
}
