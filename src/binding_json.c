/*
 * binding_json.c - the features of a row as the keys of a jsonb object.
 *
 * A key that is missing is NULL, as is JSON's null.  Numbers, strings,
 * booleans and arrays must fit the feature's kind: JSON has no types by which
 * a wrong feature would be found otherwise.
 */
#include "postgres.h"

#include <errno.h>

#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#include "binding.h"

static const char *
ValueName(const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvNull:
			return "null";
		case jbvString:
			return "a string";
		case jbvNumeric:
			return "a number";
		case jbvBool:
			return "a boolean";
		case jbvBinary:
			return JsonContainerIsArray(value->val.binary.data) ? "an array" : "an object";
		default:
			return "a value of another kind";
	}
}

/* What JSON has for each kind. */
static const char *const kind_values[] = {
	[MML_CATEGORICAL] = "a string, a whole number or a boolean",
	[MML_NUMERIC] = "a number",
	[MML_MULTI] = "an array of strings, whole numbers or booleans",
	[MML_VECTOR] = "an array of numbers",
};

static void
RefuseValue(const PutTarget *target, mml_kind kind, const char *given)
{
	ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
					errmsg("feature \"%s\" of the model is %s, but the jsonb has %s for it",
						   target->name, BindingKindName(kind), given),
					errhint("It takes %s.", kind_values[kind])));
}

static double
NumberOf(Numeric numeric)
{
	return DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, NumericGetDatum(numeric)));
}

/* A category: an integer, or a text. */
typedef struct Category
{
	bool		is_integer;
	int64		integer;
	TextValue	text;
} Category;

/*
 * A number is a category only when it is whole: 1.0 is 1, as jsonb says too.
 * Beyond bigint, its digits are the category.
 */
static void
CategoryOfNumber(const PutTarget *target, Numeric numeric, mml_kind kind, Category *category)
{
	char	   *digits = numeric_normalize(numeric);

	if (strchr(digits, '.') != NULL)
		RefuseValue(target, kind, psprintf("the number %s", digits));
	errno = 0;
	category->integer = strtoll(digits, NULL, 10);
	category->is_integer = errno == 0;
	category->text.bytes = digits;
	category->text.length = strlen(digits);
}

/* The category that a scalar stands for; raises when it is none. */
static void
CategoryOf(const PutTarget *target, const JsonbValue *value, mml_kind kind, Category *category)
{
	category->is_integer = false;
	switch (value->type)
	{
		case jbvString:
			category->text.bytes = value->val.string.val;
			category->text.length = value->val.string.len;
			break;
		case jbvNumeric:
			CategoryOfNumber(target, value->val.numeric, kind, category);
			break;
		case jbvBool:
			category->text.bytes = value->val.boolean ? "true" : "false";
			category->text.length = strlen(category->text.bytes);
			break;
		default:
			RefuseValue(target, kind, ValueName(value));
	}
}

static void
PutCategory(const PutTarget *target, const JsonbValue *value)
{
	Category	category;

	CategoryOf(target, value, MML_CATEGORICAL, &category);
	if (category.is_integer)
		PutCheck(target, mml_put_integer(target->rows, target->field, category.integer));
	else
		PutCheck(target, mml_put_text(target->rows, target->field, category.text.bytes, category.text.length));
}

static void
PutItems(const PutTarget *target, JsonbContainer *array)
{
	JsonbIterator *iterator = JsonbIteratorInit(array);
	JsonbIteratorToken token;
	JsonbValue	value;
	Category	category;

	PutCheck(target, mml_put_items_begin(target->rows, target->field));
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token != WJB_ELEM || value.type == jbvNull)
			continue;
		CategoryOf(target, &value, MML_MULTI, &category);
		if (category.is_integer)
			PutCheck(target, mml_put_item_integer(target->rows, target->field, category.integer));
		else
			PutCheck(target, mml_put_item_text(target->rows, target->field, category.text.bytes, category.text.length));
	}
	PutCheck(target, mml_put_items_end(target->rows, target->field));
}

static void
PutVector(Binding *binding, const PutTarget *target, JsonbContainer *array)
{
	JsonbIterator *iterator = JsonbIteratorInit(array);
	JsonbIteratorToken token;
	JsonbValue	value;
	int			n_numbers = 0;
	int			width = JsonContainerSize(array);
	float	   *numbers;

	BindingCheckWidth(target, width);
	numbers = BindingNumbers(&binding->numbers, &binding->n_numbers, width, GetMemoryChunkContext(binding));
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token != WJB_ELEM)
			continue;
		if (value.type == jbvNull)
			BindingRefuseNull(target, n_numbers);
		if (value.type != jbvNumeric)
			RefuseValue(target, MML_VECTOR, psprintf("%s in the array", ValueName(&value)));
		numbers[n_numbers++] = (float) NumberOf(value.val.numeric);
	}
	PutCheck(target, mml_put_vector(target->rows, target->field, numbers, n_numbers));
}

/* Puts the value of one key. */
static void
PutJsonValue(Binding *binding, const PutTarget *target, mml_kind kind, const JsonbValue *value)
{
	bool		is_array = value->type == jbvBinary && JsonContainerIsArray(value->val.binary.data);

	if (value->type == jbvNull)
		PutCheck(target, mml_put_null(target->rows, target->field));
	else if (kind == MML_CATEGORICAL)
		PutCategory(target, value);
	else if (kind == MML_NUMERIC && value->type == jbvNumeric)
		PutCheck(target, mml_put_real(target->rows, target->field, NumberOf(value->val.numeric)));
	else if (kind == MML_MULTI && is_array)
		PutItems(target, value->val.binary.data);
	else if (kind == MML_VECTOR && is_array)
		PutVector(binding, target, value->val.binary.data);
	else
		RefuseValue(target, kind, ValueName(value));
}

/* As jsonb orders keys: shorter ones first. */
static int
CompareKeys(const char *a, size_t length_a, const char *b, size_t length_b)
{
	if (length_a != length_b)
		return length_a < length_b ? -1 : 1;
	return memcmp(a, b, length_a);
}

static int
CompareFeatures(const void *a, const void *b, void *features)
{
	const char *left = ((const BoundFeature *) features)[*(const int *) a].name;
	const char *right = ((const BoundFeature *) features)[*(const int *) b].name;

	return CompareKeys(left, strlen(left), right, strlen(right));
}

/* The keys of a jsonb object are the names of the features. */
Binding *
BindingForJson(const mml_model *model)
{
	Binding    *binding = palloc0(sizeof(Binding));
	mml_field_spec spec;
	int			i;

	binding->n_features = mml_model_features(model);
	binding->features = palloc0(binding->n_features * sizeof(BoundFeature));
	binding->key_order = palloc(binding->n_features * sizeof(int));
	binding->row_context = AllocSetContextCreate(CurrentMemoryContext, "moemlora row", ALLOCSET_SMALL_SIZES);
	for (i = 0; i < binding->n_features; i++)
	{
		mml_model_feature(model, i, &spec);
		binding->features[i].name = pstrdup(spec.name);
		binding->features[i].kind = spec.n_boundaries > 0 ? MML_NUMERIC : spec.kind;
		binding->key_order[i] = i;
	}
	qsort_arg(binding->key_order, binding->n_features, sizeof(int), CompareFeatures, binding->features);
	return binding;
}

/* The value of one feature, NULL where the object has none. */
static void
PutFeature(Binding *binding, PutTarget *target, int field, const JsonbValue *value)
{
	target->field = field;
	target->name = binding->features[field].name;
	if (value == NULL)
		PutCheck(target, mml_put_null(target->rows, field));
	else
		PutJsonValue(binding, target, binding->features[field].kind, value);
}

/*
 * Keys and features are both in jsonb's order: one walk over both finds all
 * that are in both.
 */
static void
PutObject(Binding *binding, PutTarget *target, JsonbContainer *object)
{
	JsonbIterator *iterator = JsonbIteratorInit(object);
	JsonbIteratorToken token;
	JsonbValue	key;
	JsonbValue	value;
	int			next = 0;

	while ((token = JsonbIteratorNext(&iterator, &key, true)) != WJB_DONE)
	{
		int			order = -1;

		if (token != WJB_KEY)
			continue;
		(void) JsonbIteratorNext(&iterator, &value, true);
		while (next < binding->n_features && order < 0)
		{
			int			field = binding->key_order[next];
			const char *name = binding->features[field].name;

			order = CompareKeys(name, strlen(name), key.val.string.val, key.val.string.len);
			if (order > 0)
				break;
			PutFeature(binding, target, field, order == 0 ? &value : NULL);
			next++;
		}
	}
	for (; next < binding->n_features; next++)
		PutFeature(binding, target, binding->key_order[next], NULL);
}

/* Puts all features of one object. */
void
BindingPutJson(Binding *binding, mml_host *host, mml_rows *rows, Jsonb *json)
{
	PutTarget	target = {.host = host, .rows = rows};
	MemoryContext caller;

	if (!JB_ROOT_IS_OBJECT(json))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("features must be a jsonb object"),
						errdetail("It is %s.", JB_ROOT_IS_SCALAR(json) ? "a scalar" : "an array"),
						errhint("Pass the features by name, as in '{\"user_id\": 7, \"price\": 9.5}'.")));
	MemoryContextReset(binding->row_context);
	caller = MemoryContextSwitchTo(binding->row_context);
	PutObject(binding, &target, &json->root);
	MemoryContextSwitchTo(caller);
}
