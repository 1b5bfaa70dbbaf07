/*
 * sql_retrain.c - moemlora_retrain(): trains a model again as its current version
 * was trained.
 *
 * Who calls it may be a superuser's scheduled job, and the source is somebody
 * else's code.  So everything between RestrictBegin() and RestrictEnd() runs with
 * the rights of the model's owner in a security-restricted operation, as
 * REFRESH MATERIALIZED VIEW runs a view's query, and names are looked up as they
 * were at training.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/value.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"

#include "options.h"
#include "train_job.h"

PG_FUNCTION_INFO_V1(moemlora_retrain);

/* Who called. */
typedef struct Caller
{
	Oid			user;
	int			context;		/* security context */
	int			nest_level;		/* of settings */
} Caller;

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

/* Temporary tables come last unless the path says where: the session's must not stand in for others. */
static void
RestrictBegin(Caller *caller, Oid owner, const char *search_path)
{
	bool		has_temporary = strstr(search_path, "pg_temp") != NULL;

	GetUserIdAndSecContext(&caller->user, &caller->context);
	SetUserIdAndSecContext(owner, caller->context | SECURITY_RESTRICTED_OPERATION | SECURITY_LOCAL_USERID_CHANGE);
	caller->nest_level = NewGUCNestLevel();
	if (!has_temporary)
		search_path = psprintf("%s%spg_temp", search_path, search_path[0] == '\0' ? "" : ", ");
	(void) set_config_option("search_path", search_path, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/* An error does the same. */
static void
RestrictEnd(const Caller *caller)
{
	AtEOXact_GUC(false, caller->nest_level);
	SetUserIdAndSecContext(caller->user, caller->context);
}

/* ---------------------------------------------------------- what was trained */

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
static Jsonb *
ReadSpec(TrainJob *job, Jsonb *spec)
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
	}
	return options;
}

static void
CheckSpec(const TrainJob *job, int32 version)
{
	if (job->source == NULL || job->label_name == NULL || job->domain_name == NULL || job->search_path == NULL)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("version %d of model \"%s\" has no source to train from", version, job->model_name),
						errdetail("It is the current version, and it was imported."),
						errhint("Train the model with moemlora_train(), or make a version current that was trained here.")));
}

/* Everything about the current version that the job needs; returns the model's owner. */
static Oid
ReadCurrent(TrainJob *job, Jsonb *given)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	ModelVersion version;
	Jsonb	   *stored;
	Oid			owner;

	PushActiveSnapshot(snapshot);
	ModelStoreResolve(job->model_name, 0, snapshot, MODEL_MANAGE, &version);
	owner = OwnerId(job->model_name, version.owner);
	stored = ReadSpec(job, ModelStoreSpec(&version, snapshot));
	CheckSpec(job, version.number);
	job->options = OptionsParseRetrain(stored, given);
	job->promotion = PromotionCreate(job->host, job->options);
	if (job->options->warm_start || PromotionCompares(job->promotion))
	{
		mml_model  *current = ModelStoreLoad(job->host, &version, snapshot);

		if (PromotionCompares(job->promotion))
			PromotionSetCurrent(job->promotion, current, version.number);
		if (job->options->warm_start)
		{
			job->previous = current;
			job->previous_version = version.number;
		}
	}
	PopActiveSnapshot();
	UnregisterSnapshot(snapshot);
	return owner;
}

/* moemlora_retrain(model, options) */
Datum
moemlora_retrain(PG_FUNCTION_ARGS)
{
	TrainJob   *job = TrainJobCreate();
	MemoryContext outer = MemoryContextSwitchTo(job->context);
	Caller		caller;
	Oid			owner;

	job->model_name = ArgumentText(fcinfo, 0, "model");
	if (PG_ARGISNULL(1))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("argument \"options\" must not be NULL"),
						errhint("Leave it out, or use '{}'.")));
	ModelStoreBegin(job->model_name, "moemlora_retrain()");
	owner = ReadCurrent(job, PG_GETARG_JSONB_P(1));
	RestrictBegin(&caller, owner, job->search_path);
	TrainJobRun(job, TrainJobPrepare(job));
	RestrictEnd(&caller);
	MemoryContextSwitchTo(outer);
	MemoryContextDelete(job->context);
	return (Datum) 0;
}
