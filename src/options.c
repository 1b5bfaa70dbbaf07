/*
 * options.c - the options of a training: jsonb -> the core's configuration and
 * the options that only the glue knows.
 *
 * Every key is looked up in a table; what is not in it, of another type or out
 * of range is an error that names the key and what it may be.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

#include "options.h"

#define MAX_WORKERS 1024		/* as the server's own limit for parallel workers */
#define DEFAULT_TOLERANCE 0.005
#define MAX_SHOWN 100			/* bytes of a wrong value that a message shows */

/* ---------------------------------------------------------------- json values */

char *
OptionText(const JsonbValue *value)
{
	return pnstrdup(value->val.string.val, value->val.string.len);
}

/* A value as it was given, cut where it is long. */
static char *
ValueText(const JsonbValue *value)
{
	char	   *text;
	int			shown;

	switch (value->type)
	{
		case jbvString:
			text = psprintf("\"%s\"", OptionText(value));
			break;
		case jbvNumeric:
			text = numeric_normalize(value->val.numeric);
			break;
		case jbvBool:
			return value->val.boolean ? "true" : "false";
		case jbvBinary:
			text = JsonbToCString(NULL, value->val.binary.data, value->val.binary.len);
			break;
		default:
			return "null";
	}
	shown = pg_mbcliplen(text, (int) strlen(text), MAX_SHOWN);
	return psprintf("%.*s%s", shown, text, text[shown] != '\0' ? "..." : "");
}

int
OptionValueDetail(const JsonbValue *value)
{
	return errdetail("It is %s.", ValueText(value));
}

void
OptionRefuse(const char *name, const char *wanted, const JsonbValue *value)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("option \"%s\" must be %s", name, wanted),
					OptionValueDetail(value)));
}

double
OptionNumber(const JsonbValue *value)
{
	return DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, NumericGetDatum(value->val.numeric)));
}

/* The numbers of a jsonb array; NULL when it is no array of numbers. */
double *
OptionNumbers(const JsonbValue *value, int *n_numbers)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	item;
	double	   *numbers;

	*n_numbers = 0;
	if (value->type != jbvBinary || !JsonContainerIsArray(value->val.binary.data))
		return NULL;
	numbers = palloc((JsonContainerSize(value->val.binary.data) + 1) * sizeof(double));
	iterator = JsonbIteratorInit(value->val.binary.data);
	while ((token = JsonbIteratorNext(&iterator, &item, true)) != WJB_DONE)
	{
		if (token != WJB_ELEM)
			continue;
		if (item.type != jbvNumeric)
			return NULL;
		numbers[(*n_numbers)++] = OptionNumber(&item);
	}
	return numbers;
}

/* Walks over the keys of an object; false behind the last. */
bool
OptionNextKey(JsonbIterator **iterator, char **key, JsonbValue *value)
{
	JsonbIteratorToken token;

	while ((token = JsonbIteratorNext(iterator, value, true)) != WJB_DONE)
	{
		if (token != WJB_KEY)
			continue;
		*key = OptionText(value);
		(void) JsonbIteratorNext(iterator, value, true);
		return true;
	}
	return false;
}

/* ------------------------------------------------------- options of the core */

/* What values of the option look like. */
static char *
WantedText(const mml_option *option)
{
	StringInfoData text;
	int			i;

	initStringInfo(&text);
	switch (option->type)
	{
		case MML_OPTION_INTEGER:
			return psprintf("a whole number from %.16g to %.16g", option->minimum, option->maximum);
		case MML_OPTION_REAL:
			return psprintf("a number from %.16g to %.16g%s", option->minimum, option->maximum,
							option->maximum_excluded ? ", excluded" : "");
		case MML_OPTION_BOOLEAN:
			return "true or false";
		case MML_OPTION_INTEGERS:
			return psprintf("a list of 1 to %d whole numbers from %.16g to %.16g", MML_MAX_LAYERS,
							option->minimum, option->maximum);
		case MML_OPTION_CHOICE:
			appendStringInfoString(&text, "one of ");
			for (i = 0; option->choices[i] != NULL; i++)
				appendStringInfo(&text, "%s\"%s\"", i > 0 ? ", " : "", option->choices[i]);
	}
	return text.data;
}

/* Raises what the core says against a value, and shows the value. */
static void
CheckValue(mml_host *host, mml_status status, const JsonbValue *value)
{
	if (status != MML_OK && host->error.detail[0] == '\0')
		snprintf(host->error.detail, sizeof(host->error.detail), "It is %s.", ValueText(value));
	BridgeCheck(host, status);
}

/* Sets one option of the core. */
static void
SetCoreOption(mml_host *host, mml_config *config, const mml_option *option, const JsonbValue *value)
{
	bool		is_number = option->type == MML_OPTION_INTEGER || option->type == MML_OPTION_REAL;
	double	   *numbers;
	int			n_numbers;

	if (is_number && value->type == jbvNumeric)
		CheckValue(host, mml_config_set_number(host, config, option, OptionNumber(value)), value);
	else if (option->type == MML_OPTION_BOOLEAN && value->type == jbvBool)
		CheckValue(host, mml_config_set_number(host, config, option, value->val.boolean ? 1.0 : 0.0), value);
	else if (option->type == MML_OPTION_CHOICE && value->type == jbvString)
		BridgeCheck(host, mml_config_set_text(host, config, option, OptionText(value)));
	else
	{
		numbers = option->type == MML_OPTION_INTEGERS ? OptionNumbers(value, &n_numbers) : NULL;
		if (numbers == NULL)
			OptionRefuse(option->name, WantedText(option), value);
		CheckValue(host, mml_config_set_list(host, config, option, numbers, n_numbers), value);
	}
}

/* ------------------------------------------------------- options of the glue */

static void
ReadSplitColumn(TrainOptions *options, const JsonbValue *value)
{
	if (value->type != jbvString)
		OptionRefuse("split_column", "the name of a column", value);
	options->split_column = OptionText(value);
}

static void
ReadTimeColumn(TrainOptions *options, const JsonbValue *value)
{
	if (value->type != jbvString)
		OptionRefuse("time_column", "the name of a column", value);
	options->time_column = OptionText(value);
}

static void
ReadWeightColumn(TrainOptions *options, const JsonbValue *value)
{
	if (value->type != jbvString)
		OptionRefuse("weight_column", "the name of a column", value);
	options->weight_column = OptionText(value);
}

static void
ReadWorkers(TrainOptions *options, const JsonbValue *value)
{
	double		number = value->type == jbvNumeric ? OptionNumber(value) : -1.0;

	if (!(number >= 0.0 && number <= MAX_WORKERS) || number != (int) number)
		OptionRefuse("workers", psprintf("a whole number from 0 to %d", MAX_WORKERS), value);
	options->workers = (int) number;
}

static void
ReadWarmStart(TrainOptions *options, const JsonbValue *value)
{
	if (value->type != jbvBool)
		OptionRefuse("warm_start", "true or false", value);
	options->warm_start = value->val.boolean;
}

static void
ReadPromote(TrainOptions *options, const JsonbValue *value)
{
	static const char *const rules[] = {
		[PROMOTE_IF_BETTER] = "if_better",
		[PROMOTE_ALWAYS] = "always",
		[PROMOTE_NEVER] = "never",
	};
	int			i;

	for (i = 0; i < (int) lengthof(rules) && value->type == jbvString; i++)
	{
		if (strcmp(OptionText(value), rules[i]) != 0)
			continue;
		options->promote = (PromoteRule) i;
		return;
	}
	OptionRefuse("promote", "one of \"if_better\", \"always\", \"never\"", value);
}

static void
ReadResume(TrainOptions *options, const JsonbValue *value)
{
	if (value->type != jbvBool)
		OptionRefuse("resume", "true or false", value);
	options->resume = value->val.boolean;
}

static void
ReadTolerance(TrainOptions *options, const JsonbValue *value)
{
	double		number = value->type == jbvNumeric ? OptionNumber(value) : -1.0;

	if (!(number >= 0.0 && number <= 1.0))
		OptionRefuse("tolerance", "a number from 0 to 1", value);
	options->tolerance = number;
}

static void
ReadColumns(TrainOptions *options, const JsonbValue *value)
{
	options->columns = ColumnOptionsParse(value);
}

static const struct
{
	const char *name;
	void		(*read) (TrainOptions *options, const JsonbValue *value);
	bool		is_retrain;		/* of a retraining only */
} glue_options[] = {
	{"split_column", ReadSplitColumn, false},
	{"time_column", ReadTimeColumn, false},
	{"weight_column", ReadWeightColumn, false},
	{"workers", ReadWorkers, false},
	{"warm_start", ReadWarmStart, false},
	{"columns", ReadColumns, false},
	{"promote", ReadPromote, true},
	{"tolerance", ReadTolerance, true},
	{"resume", ReadResume, true},
};

/* ------------------------------------------------------------------- together */

/* Whether the option of the table above can be given here. */
static bool
IsOption(const TrainOptions *options, int i)
{
	return options->is_retrain || !glue_options[i].is_retrain;
}

/* Raises: there is no such option. */
static void
RefuseUnknown(const TrainOptions *options, const char *name)
{
	NearMiss	miss;
	int			n_options;
	const mml_option *core = mml_options(&n_options);
	StringInfoData names;
	int			i;

	NearMissInit(&miss, name);
	initStringInfo(&names);
	for (i = 0; i < n_options; i++)
	{
		NearMissOffer(&miss, core[i].name);
		appendStringInfo(&names, "%s, ", core[i].name);
	}
	for (i = 0; i < (int) lengthof(glue_options) && IsOption(options, i); i++)
	{
		NearMissOffer(&miss, glue_options[i].name);
		appendStringInfo(&names, "%s%s", i > 0 ? ", " : "", glue_options[i].name);
	}
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("unrecognized option \"%s\"", name),
					miss.best != NULL ? NearMissHint(&miss) : errhint("Options are %s.", names.data)));
}

static void
ReadOption(mml_host *host, TrainOptions *options, const char *name, const JsonbValue *value)
{
	int			n_options;
	const mml_option *core = mml_options(&n_options);
	int			i;

	for (i = 0; i < n_options; i++)
	{
		if (strcmp(core[i].name, name) == 0)
		{
			SetCoreOption(host, &options->config, &core[i], value);
			return;
		}
	}
	for (i = 0; i < (int) lengthof(glue_options) && IsOption(options, i); i++)
	{
		if (strcmp(glue_options[i].name, name) == 0)
		{
			glue_options[i].read(options, value);
			return;
		}
	}
	RefuseUnknown(options, name);
}

/* What single options cannot tell. */
static void
CheckTogether(const TrainOptions *options, bool has_validation)
{
	if (options->split_column != NULL && options->time_column != NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("options \"split_column\" and \"time_column\" cannot be given together"),
						errhint("Give the one that says which rows validate.")));
	if (options->split_column != NULL && has_validation)
		ereport(NOTICE, (errmsg("option \"validation\" has no effect with \"split_column\"")));
}

static void
CheckObject(const Jsonb *json)
{
	if (!JB_ROOT_IS_OBJECT(json))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("options must be a jsonb object"),
						errhint("Write them as in '{\"method\": \"mlora\", \"epochs\": 10}'.")));
}

/* Over the defaults that `options` has, each option by itself. */
static TrainOptions *
ParseEach(mml_host *host, TrainOptions *options, Jsonb *json)
{
	JsonbIterator *iterator;
	JsonbValue	value;
	char	   *name;
	bool		has_validation = false;

	CheckObject(json);
	options->workers = -1;
	options->given = json;
	mml_config_init(&options->config);
	iterator = JsonbIteratorInit(&json->root);
	while (OptionNextKey(&iterator, &name, &value))
	{
		ReadOption(host, options, name, &value);
		has_validation |= strcmp(name, "validation") == 0;
	}
	CheckTogether(options, has_validation);
	return options;
}

static TrainOptions *
Parse(TrainOptions *options, Jsonb *json)
{
	mml_host   *host = BridgeCreateHost(CurrentMemoryContext, 0);

	ParseEach(host, options, json);
	BridgeCheck(host, mml_config_check(host, &options->config));
	return options;
}

/* Reads and checks everything that can be checked without the source. */
TrainOptions *
OptionsParse(Jsonb *json)
{
	return Parse(palloc0(sizeof(TrainOptions)), json);
}

static Jsonb *
Concatenate(const Jsonb *left, const Jsonb *right)
{
	return DatumGetJsonbP(DirectFunctionCall2(jsonb_concat, JsonbPGetDatum(left), JsonbPGetDatum(right)));
}

static Jsonb *
Without(const Jsonb *json, const char *key)
{
	return DatumGetJsonbP(DirectFunctionCall2(jsonb_delete, JsonbPGetDatum(json), CStringGetTextDatum(key)));
}

Jsonb *
OptionsResumed(Jsonb *before, Jsonb *json)
{
	return Without(before == NULL ? json : Concatenate(before, json), "resume");
}

bool
OptionIsGiven(Jsonb *json, const char *key)
{
	JsonbIterator *iterator = JsonbIteratorInit(&json->root);
	JsonbValue	value;
	char	   *name;

	while (OptionNextKey(&iterator, &name, &value))
	{
		if (strcmp(name, key) == 0)
			return true;
	}
	return false;
}

TrainOptions *
OptionsParseRetrain(Jsonb *stored, Jsonb *json)
{
	TrainOptions *options = palloc0(sizeof(TrainOptions));
	Jsonb	   *warm = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum("{\"warm_start\": true}")));
	Jsonb	   *all = stored == NULL ? warm : Concatenate(stored, warm);
	int			i;

	CheckObject(json);
	/* (PostgreSQL 18 takes a second argument, whether array elements go too; earlier ones do not look at it.) */
	all = DatumGetJsonbP(DirectFunctionCall2(jsonb_strip_nulls, JsonbPGetDatum(Concatenate(all, json)), BoolGetDatum(false)));
	options->is_retrain = true;
	options->promote = PROMOTE_IF_BETTER;
	options->tolerance = DEFAULT_TOLERANCE;
	options = Parse(options, all);
	for (i = 0; i < (int) lengthof(glue_options); i++)
	{
		if (glue_options[i].is_retrain)
			options->given = Without(options->given, glue_options[i].name);
	}
	return options;
}

/* Of the two that say which rows validate, one that is given takes the place of the other. */
TrainOptions *
OptionsParseOver(Jsonb *stored, Jsonb *json)
{
	TrainOptions *options = palloc0(sizeof(TrainOptions));
	Jsonb	   *all = json;

	CheckObject(json);
	if (stored != NULL)
	{
		if (OptionIsGiven(json, "split_column"))
			stored = Without(stored, "time_column");
		if (OptionIsGiven(json, "time_column"))
			stored = Without(stored, "split_column");
		all = Concatenate(stored, json);
	}
	all = DatumGetJsonbP(DirectFunctionCall2(jsonb_strip_nulls, JsonbPGetDatum(all), BoolGetDatum(false)));
	options = Parse(options, all);
	options->given = json;
	return options;
}

TrainOptions *
OptionsParseTrial(Jsonb *json, char **why)
{
	mml_host   *host = BridgeCreateHost(CurrentMemoryContext, 0);
	TrainOptions *options = ParseEach(host, palloc0(sizeof(TrainOptions)), json);

	*why = mml_config_check(host, &options->config) == MML_OK ? NULL : pstrdup(host->error.message);
	return options;
}
