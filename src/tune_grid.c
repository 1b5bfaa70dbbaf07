/*
 * tune_grid.c - a grid of options: an object whose values are what
 * moemlora_train() takes, or lists of that; the combinations are numbered.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"

#include "options.h"
#include "tune_grid.h"

#define MOST_COMBINATIONS ((uint64) 1 << 50)

/* Options that cannot be in a grid at all. */
static const struct
{
	const char *name;
	const char *reason;
}			refused[] = {
	{"max_seconds", "Argument budget_seconds limits the time of all trials together."},
	{"warm_start", "Trials begin anew."},
	{"workers", "Each trial is trained in one process."},
};

/* Options that say how rows are encoded and split, or how far the last rung trains: one value for all trials. */
static const char *const fixed[] = {
	"validation", "split_column", "time_column", "weight_column", "columns", "min_count", "seed", "epochs"
};

static bool
IsFixed(const char *name)
{
	int			i;

	for (i = 0; i < (int) lengthof(fixed); i++)
	{
		if (strcmp(fixed[i], name) == 0)
			return true;
	}
	return false;
}

static bool
IsArray(const JsonbValue *value)
{
	return value->type == jbvBinary && JsonContainerIsArray(value->val.binary.data);
}

/* Whether the option's own value is a list of numbers. */
static bool
TakesList(const char *name)
{
	int			n_options;
	const mml_option *options = mml_options(&n_options);
	int			i;

	for (i = 0; i < n_options; i++)
	{
		if (strcmp(options[i].name, name) == 0)
			return options[i].type == MML_OPTION_INTEGERS;
	}
	return false;
}

/* Whether the value is a list of values: of one that takes a list itself, a list of lists. */
static bool
IsVaried(const char *name, const JsonbValue *value)
{
	JsonbValue *first;

	if (!IsArray(value))
		return false;
	first = getIthJsonbValueFromContainer(value->val.binary.data, 0);
	return first == NULL || !TakesList(name) || IsArray(first);
}

/* {name: value} */
static Jsonb *
MakeObject(const char *name, JsonbValue *value)
{
	StringInfoData json;
	Jsonb	   *scalar = JsonbValueToJsonb(value);

	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	escape_json(&json, name);
	appendStringInfoString(&json, ": ");
	(void) JsonbToCString(&json, &scalar->root, VARSIZE(scalar));
	appendStringInfoChar(&json, '}');
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data)));
}

/* A single value must be one that the option can have; what goes together is seen later. */
static void
CheckValue(Jsonb *object)
{
	char	   *why;

	(void) OptionsParseTrial(object, &why);
}

static void
AddValue(TuneKey *key, JsonbValue *value)
{
	Jsonb	   *object = MakeObject(key->name, value);

	CheckValue(object);
	key->objects[key->n_values++] = object;
}

static TuneKey *
ParseKey(char *name, JsonbValue *value)
{
	TuneKey    *key = palloc0(sizeof(TuneKey));
	int			i;

	for (i = 0; i < (int) lengthof(refused); i++)
	{
		if (strcmp(refused[i].name, name) == 0)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("option \"%s\" cannot be in a grid", name),
							errdetail("%s", refused[i].reason)));
	}
	key->name = name;
	key->is_varied = IsVaried(name, value);
	if (!key->is_varied)
	{
		key->objects = palloc(sizeof(Jsonb *));
		AddValue(key, value);
		return key;
	}
	if (IsFixed(name))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("option \"%s\" cannot have a list of values", name),
						strcmp(name, "epochs") == 0 ?
						errdetail("It says how far the trials of the last rung are trained; the others get less.") :
						errdetail("All trials share the rows, as they are encoded and split once.")));
	if (JsonContainerSize(value->val.binary.data) == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("option \"%s\" has an empty list of values", name)));
	key->objects = palloc(JsonContainerSize(value->val.binary.data) * sizeof(Jsonb *));
	for (i = 0; i < (int) JsonContainerSize(value->val.binary.data); i++)
		AddValue(key, getIthJsonbValueFromContainer(value->val.binary.data, i));
	return key;
}

TuneGrid *
TuneGridParse(Jsonb *json)
{
	TuneGrid   *grid = palloc0(sizeof(TuneGrid));
	JsonbIterator *iterator;
	JsonbValue	value;
	char	   *name;
	mml_config	config;

	if (!JB_ROOT_IS_OBJECT(json))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("a grid must be a jsonb object"),
						errhint("Write it as in '{\"backbone\": [\"wdl\", \"dcn\"], \"epochs\": 20}'.")));
	mml_config_init(&config);
	grid->seed = config.seed;
	grid->n_combinations = 1;
	iterator = JsonbIteratorInit(&json->root);
	while (OptionNextKey(&iterator, &name, &value))
	{
		TuneKey    *key = ParseKey(name, &value);

		if (strcmp(name, "seed") == 0)
			grid->seed = (int64) OptionNumber(&value);
		grid->keys = lappend(grid->keys, key);
		if (grid->n_combinations > MOST_COMBINATIONS / key->n_values)
			ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
							errmsg("the grid has more than " UINT64_FORMAT " combinations", MOST_COMBINATIONS)));
		grid->n_combinations *= key->n_values;
	}
	return grid;
}

static void
Join(Jsonb **object, Jsonb *other)
{
	*object = DatumGetJsonbP(DirectFunctionCall2(jsonb_concat, JsonbPGetDatum(*object), JsonbPGetDatum(other)));
}

void
TuneGridGet(const TuneGrid *grid, uint64 number, Jsonb **given, Jsonb **varied)
{
	ListCell   *cell;

	*given = *varied = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum("{}")));
	foreach(cell, grid->keys)
	{
		const TuneKey *key = lfirst(cell);
		Jsonb	   *object = key->objects[number % key->n_values];

		Join(given, object);
		if (key->is_varied)
			Join(varied, object);
		number /= key->n_values;
	}
}
