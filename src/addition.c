/*
 * addition.c - what is special about a training that adds one domain: which
 * options count, which rows, what is said and what is stored.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"

#include "addition.h"
#include "options.h"

/*
 * Few rows train in no time, but what they say of a state is vague: more of them
 * validate, batches are small, and a phase goes on for longer.  With places of
 * planted clicks, held out and added with 100 to 3000 rows, that brought .004 to
 * .007 of AUC on fresh rows beside the defaults of moemlora_train().
 */
#define BATCHES 16				/* an epoch is to have at least so many steps */
#define SMALLEST_BATCH 16
#define VALIDATING_ROWS 1000.0
#define MOST_VALIDATING 0.3
#define EPOCHS 50
#define PATIENCE 15

/* ------------------------------------------------------------------- options */

/* Options that say how to train; all others say what the model is, unless a reason is given below. */
static const char *const allowed[] = {
	"epochs", "patience", "batch_size", "dropout", "learning_rate", "l2", "gate_own_share", "gate_entropy",
	"validation", "split_column", "time_column", "weight_column", "seed", "workers", "max_seconds"
};

static const struct
{
	const char *name;
	const char *reason;
}			reasons[] = {
	{"recipe", "Only what belongs to the new domain is trained, in one way."},
	{"finetune", "Only what belongs to the new domain is trained, in one way."},
	{"min_domain_rows", "The new domain gets its experts however few rows it has."},
	{"min_count", "Values that the model does not know stay unknown."},
	{"expert_diversity", "Each of the new experts is trained alone."},
	{"warm_start", "The training always goes on from the current version."},
	{"columns", "The features are those of the current version."},
};

static bool
IsAllowed(const char *name)
{
	int			i;

	for (i = 0; i < (int) lengthof(allowed); i++)
	{
		if (strcmp(allowed[i], name) == 0)
			return true;
	}
	return false;
}

/* Why an option does not count; NULL when there is no such option. */
static const char *
ReasonFor(const char *name)
{
	int			n_options;
	const mml_option *options = mml_options(&n_options);
	int			i;

	for (i = 0; i < (int) lengthof(reasons); i++)
	{
		if (strcmp(reasons[i].name, name) == 0)
			return reasons[i].reason;
	}
	for (i = 0; i < n_options; i++)
	{
		if (strcmp(options[i].name, name) == 0)
			return "It is a part of the model, and the scores of the other domains depend on it.";
	}
	return NULL;
}

static void
RefuseOption(const char *name)
{
	const char *reason = ReasonFor(name);
	StringInfoData names;
	NearMiss	miss;
	int			i;

	initStringInfo(&names);
	NearMissInit(&miss, name);
	for (i = 0; i < (int) lengthof(allowed); i++)
	{
		appendStringInfo(&names, "%s%s", i > 0 ? ", " : "", allowed[i]);
		NearMissOffer(&miss, allowed[i]);
	}
	if (reason == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("unrecognized option \"%s\"", name),
						miss.best != NULL ? NearMissHint(&miss) : errhint("Options are %s.", names.data)));
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("option \"%s\" cannot be given when a domain is added", name),
					errdetail("%s", reason),
					errhint("Options are %s.", names.data)));
}

void
AdditionCheckOptions(Jsonb *given)
{
	JsonbIterator *iterator = JsonbIteratorInit(&given->root);
	JsonbValue	value;
	char	   *key;

	while (JB_ROOT_IS_OBJECT(given) && OptionNextKey(&iterator, &key, &value))
	{
		if (!IsAllowed(key))
			RefuseOption(key);
	}
}

/* ---------------------------------------------------------------------- rows */

bool
AdditionTakes(Addition *addition, const mml_row_facts *facts)
{
	if (strlen(addition->domain) == facts->domain_length &&
		memcmp(addition->domain, facts->domain, facts->domain_length) == 0)
		return true;
	addition->n_others++;
	return false;
}

/* Values of the rows that stay unknown, by feature. */
static void
TellNewValues(const Addition *addition, const mml_rows *rows)
{
	StringInfoData features;
	int64		n_values = 0;
	int			i;

	initStringInfo(&features);
	for (i = 0; i < mml_model_features(addition->previous); i++)
	{
		uint32		n = mml_rows_new_values(rows, i);
		mml_field_spec spec;

		if (n == 0)
			continue;
		mml_model_feature(addition->previous, i, &spec);
		appendStringInfo(&features, "%s%s: %u", n_values > 0 ? ", " : "", spec.name, n);
		n_values += n;
	}
	if (n_values > 0)
		ereport(NOTICE, (errmsg_plural(INT64_FORMAT " value of the rows is unknown to version %d and stays so",
									   INT64_FORMAT " values of the rows are unknown to version %d and stay so",
									   (unsigned long) n_values, n_values, addition->version),
						 errdetail("%s.", features.data),
						 errhint("They are learned when the model is trained with the rows of all its domains.")));
	pfree(features.data);
}

/* Options that were not given, for so many rows. */
static void
SuitRows(mml_rows *rows, TrainOptions *options)
{
	mml_config *config = &options->config;
	double		n_rows = (double) mml_rows_count(rows);

	if (!OptionIsGiven(options->given, "batch_size"))
		config->batch_size = (int32) Min(config->batch_size, Max(n_rows / BATCHES, SMALLEST_BATCH));
	if (!OptionIsGiven(options->given, "epochs"))
		config->epochs = EPOCHS;
	if (!OptionIsGiven(options->given, "patience"))
		config->patience = PATIENCE;
	if (!OptionIsGiven(options->given, "validation"))
		config->validation = Max(config->validation, Min(MOST_VALIDATING, VALIDATING_ROWS / n_rows));
	mml_rows_set_validation(rows, config->validation);
}

void
AdditionCheckRows(const Addition *addition, mml_rows *rows, TrainOptions *options)
{
	int64		n_rows = (int64) mml_rows_count(rows);

	if (n_rows == 0 && addition->n_others > 0)
		ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
						errmsg("the source has no rows of domain \"%s\"", addition->domain),
						errdetail(INT64_FORMAT " rows of other domains were left out.", addition->n_others)));
	if (addition->n_others > 0)
		ereport(NOTICE, (errmsg_plural(INT64_FORMAT " row of another domain was left out",
									   INT64_FORMAT " rows of other domains were left out",
									   (unsigned long) addition->n_others, addition->n_others)));
	if (n_rows == 0)
		return;
	TellNewValues(addition, rows);
	SuitRows(rows, options);
}

/* --------------------------------------------------------------- the version */

static void
AppendText(StringInfo json, const char *key, const char *text)
{
	appendStringInfo(json, ", \"%s\": ", key);
	escape_json(json, text);
}

/* The array with one entry more: {"domain": ..., "source": ..., "search_path": ..., "options": ...}. */
static Jsonb *
AppendEntry(const Addition *addition, const ModelDescription *description)
{
	StringInfoData json;
	Datum		entry;

	initStringInfo(&json);
	appendStringInfo(&json, "[{\"version\": %d", addition->version);
	AppendText(&json, "domain", addition->domain);
	AppendText(&json, "source", description->source);
	AppendText(&json, "search_path", description->search_path);
	appendStringInfoString(&json, ", \"options\": ");
	(void) JsonbToCString(&json, &description->options->root, VARSIZE(description->options));
	appendStringInfoString(&json, "}]");
	entry = DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data));
	if (addition->added == NULL)
		return DatumGetJsonbP(entry);
	return DatumGetJsonbP(DirectFunctionCall2(jsonb_concat, JsonbPGetDatum(addition->added), entry));
}

void
AdditionDescribe(const Addition *addition, ModelDescription *description)
{
	description->added = AppendEntry(addition, description);
	description->source = addition->source;
	description->options = addition->options;
	description->search_path = addition->search_path;
	description->decision.is_taken = true;
	description->decision.against = addition->version;
	description->decision.reason = psprintf("domain \"%s\" was added to version %d", addition->domain, addition->version);
}

/* ------------------------------------------------------------------ afterwards */

/* The domain of an entry of the array; NULL: it has none. */
static char *
EntryDomain(const JsonbValue *entry)
{
	JsonbIterator *iterator;
	JsonbValue	value;
	char	   *key;

	if (entry->type != jbvBinary || !JsonContainerIsObject(entry->val.binary.data))
		return NULL;
	iterator = JsonbIteratorInit(entry->val.binary.data);
	while (OptionNextKey(&iterator, &key, &value))
	{
		if (strcmp(key, "domain") == 0 && value.type == jbvString)
			return OptionText(&value);
	}
	return NULL;
}

/* What the model knows of a domain; NULL: nothing. */
static const mml_domain *
FindDomain(const mml_model *model, const char *name)
{
	int			i;

	for (i = 0; i < mml_model_domains(model); i++)
	{
		if (strcmp(mml_model_domain(model, i)->name, name) == 0)
			return mml_model_domain(model, i);
	}
	return NULL;
}

void
AdditionTellMissing(Jsonb *added, const mml_model *model)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	entry;

	if (added == NULL || !JB_ROOT_IS_ARRAY(added))
		return;
	iterator = JsonbIteratorInit(&added->root);
	while ((token = JsonbIteratorNext(&iterator, &entry, true)) != WJB_DONE)
	{
		char	   *domain = token == WJB_ELEM ? EntryDomain(&entry) : NULL;
		const mml_domain *found = domain == NULL ? NULL : FindDomain(model, domain);

		if (domain != NULL && (found == NULL || found->rows == 0))
			ereport(WARNING, (errmsg("domain \"%s\", which was added with moemlora_add_domain(), has no rows in the source",
									 domain),
							  found == NULL ? errdetail("The new version does not know it.") :
							  errdetail("The new version serves it with its old experts on what the others have learned anew."),
							  errhint("Train the model with moemlora_train() on a source that has its rows too.")));
	}
}
