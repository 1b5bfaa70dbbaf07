/*
 * binding_values.c - values of SQL types as values of the core.
 *
 * The texts of categories are canonical forms of our own: a model must not
 * depend on the settings (date style, float digits) of the session that
 * trained it or of the one that scores with it.
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "access/htup_details.h"
#include "access/tupmacs.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "parser/parse_coerce.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/uuid.h"

#include "binding.h"

/* Counts changes of enums in this session; what was remembered before one is stale. */
static uint64 enum_changes = 0;
static bool enum_changes_watched = false;

/* ------------------------------------------------------------ whole numbers */

static int64
IntegerOfInt2(Datum value)
{
	return DatumGetInt16(value);
}

static int64
IntegerOfInt4(Datum value)
{
	return DatumGetInt32(value);
}

static int64
IntegerOfInt8(Datum value)
{
	return DatumGetInt64(value);
}

/* ------------------------------------------------------------------ numbers */

static double
NumberOfInt2(Datum value)
{
	return DatumGetInt16(value);
}

static double
NumberOfInt4(Datum value)
{
	return DatumGetInt32(value);
}

static double
NumberOfInt8(Datum value)
{
	return (double) DatumGetInt64(value);
}

static double
NumberOfFloat4(Datum value)
{
	return DatumGetFloat4(value);
}

static double
NumberOfFloat8(Datum value)
{
	return DatumGetFloat8(value);
}

/* Too large for a double becomes infinity, which the core refuses. */
static double
NumberOfNumeric(Datum value)
{
	return DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, value));
}

/* A literal in ROW(...) has no type yet, only its text. */
static double
NumberOfLiteral(Datum value)
{
	return DatumGetFloat8(DirectFunctionCall1(float8in, value));
}

/* -------------------------------------------------------------------- texts */

static void
TextOfVarlena(TypedColumn *column pg_attribute_unused(), Datum value, TextValue *text)
{
	struct varlena *bytes = PG_DETOAST_DATUM_PACKED(value);

	text->bytes = VARDATA_ANY(bytes);
	text->length = VARSIZE_ANY_EXHDR(bytes);
}

/* Trailing blanks of char(n) mean nothing. */
static void
TextOfBpchar(TypedColumn *column, Datum value, TextValue *text)
{
	TextOfVarlena(column, value, text);
	while (text->length > 0 && text->bytes[text->length - 1] == ' ')
		text->length--;
}

static void
TextOfName(TypedColumn *column pg_attribute_unused(), Datum value, TextValue *text)
{
	text->bytes = NameStr(*DatumGetName(value));
	text->length = strlen(text->bytes);
}

static void
TextOfLiteral(TypedColumn *column pg_attribute_unused(), Datum value, TextValue *text)
{
	text->bytes = DatumGetCString(value);
	text->length = strlen(text->bytes);
}

static void
TextOfBool(TypedColumn *column pg_attribute_unused(), Datum value, TextValue *text)
{
	text->bytes = DatumGetBool(value) ? "true" : "false";
	text->length = strlen(text->bytes);
}

/* Lower-case hexadecimal digits in groups of 8-4-4-4-12. */
static void
TextOfUuid(TypedColumn *column, Datum value, TextValue *text)
{
	static const char digits[] = "0123456789abcdef";
	const pg_uuid_t *uuid = DatumGetUUIDP(value);
	char	   *end = column->scratch;
	int			i;

	for (i = 0; i < UUID_LEN; i++)
	{
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*end++ = '-';
		*end++ = digits[uuid->data[i] >> 4];
		*end++ = digits[uuid->data[i] & 15];
	}
	text->bytes = column->scratch;
	text->length = end - column->scratch;
}

/* ISO 8601, as DateStyle ISO writes it. */
static void
TextOfDate(TypedColumn *column, Datum value, TextValue *text)
{
	DateADT		date = DatumGetDateADT(value);
	int			year;
	int			month;
	int			day;

	text->bytes = column->scratch;
	if (DATE_IS_NOBEGIN(date))
		strlcpy(column->scratch, "-infinity", sizeof(column->scratch));
	else if (DATE_IS_NOEND(date))
		strlcpy(column->scratch, "infinity", sizeof(column->scratch));
	else
	{
		j2date(date + POSTGRES_EPOCH_JDATE, &year, &month, &day);
		snprintf(column->scratch, sizeof(column->scratch), "%04d-%02d-%02d%s",
				 year > 0 ? year : 1 - year, month, day, year > 0 ? "" : " BC");
	}
	text->length = strlen(column->scratch);
}

/* -------------------------------------------------------------------- enums */

typedef struct EnumLabel
{
	Oid			value;			/* must be first: the key */
	int			length;
	char		label[NAMEDATALEN];
} EnumLabel;

static void
EnumsChanged(Datum argument pg_attribute_unused(), int cache pg_attribute_unused(), uint32 hash pg_attribute_unused())
{
	enum_changes++;
}

/* An empty table of labels, good until an enum changes. */
static void
EnumLabelsReset(EnumLabels *enums, MemoryContext context)
{
	HASHCTL		control;

	if (!enum_changes_watched)
	{
		CacheRegisterSyscacheCallback(ENUMOID, EnumsChanged, (Datum) 0);
		enum_changes_watched = true;
	}
	if (enums->labels != NULL)
		hash_destroy(enums->labels);
	memset(&control, 0, sizeof(control));
	control.keysize = sizeof(Oid);
	control.entrysize = sizeof(EnumLabel);
	control.hcxt = context;
	enums->labels = NULL;
	enums->labels = hash_create("moemlora enum labels", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	enums->generation = enum_changes;
}

/* Reads a label from the catalog. */
static void
EnumLabelRead(Oid value, char *label)
{
	HeapTuple	tuple = SearchSysCache1(ENUMOID, ObjectIdGetDatum(value));

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
						errmsg("invalid internal value for enum: %u", value)));
	strlcpy(label, NameStr(((Form_pg_enum) GETSTRUCT(tuple))->enumlabel), NAMEDATALEN);
	ReleaseSysCache(tuple);
}

static void
TextOfEnum(TypedColumn *column, Datum value, TextValue *text)
{
	EnumLabels *enums = &column->enums;
	Oid			key = DatumGetObjectId(value);
	EnumLabel  *entry = NULL;
	char		label[NAMEDATALEN];
	bool		is_found;

	if (enums->labels != NULL && enums->generation == enum_changes)
		entry = hash_search(enums->labels, &key, HASH_FIND, NULL);
	if (entry == NULL)
	{
		EnumLabelRead(key, label);
		if (enums->labels == NULL || enums->generation != enum_changes)
			EnumLabelsReset(enums, column->context);
		entry = hash_search(enums->labels, &key, HASH_ENTER, &is_found);
		strlcpy(entry->label, label, NAMEDATALEN);
		entry->length = strlen(label);
	}
	text->bytes = entry->label;
	text->length = entry->length;
}

/* ------------------------------------------------------------ table of types */

static const ColumnReader readers[] = {
	{.type = INT4OID, .kind = MML_CATEGORICAL, .integer = IntegerOfInt4, .number = NumberOfInt4},
	{.type = INT8OID, .kind = MML_CATEGORICAL, .integer = IntegerOfInt8, .number = NumberOfInt8},
	{.type = INT2OID, .kind = MML_CATEGORICAL, .integer = IntegerOfInt2, .number = NumberOfInt2},
	{.type = TEXTOID, .kind = MML_CATEGORICAL, .text = TextOfVarlena},
	{.type = VARCHAROID, .kind = MML_CATEGORICAL, .text = TextOfVarlena},
	{.type = BPCHAROID, .kind = MML_CATEGORICAL, .text = TextOfBpchar},
	{.type = NAMEOID, .kind = MML_CATEGORICAL, .text = TextOfName},
	{.type = BOOLOID, .kind = MML_CATEGORICAL, .text = TextOfBool},
	{.type = UUIDOID, .kind = MML_CATEGORICAL, .text = TextOfUuid},
	{.type = DATEOID, .kind = MML_CATEGORICAL, .text = TextOfDate},
	{.type = FLOAT4OID, .kind = MML_NUMERIC, .number = NumberOfFloat4},
	{.type = FLOAT8OID, .kind = MML_NUMERIC, .number = NumberOfFloat8},
	{.type = NUMERICOID, .kind = MML_NUMERIC, .number = NumberOfNumeric},
	{.type = UNKNOWNOID, .kind = MML_CATEGORICAL, .number = NumberOfLiteral, .text = TextOfLiteral},
};

static const ColumnReader enum_reader = {.type = InvalidOid, .kind = MML_CATEGORICAL, .text = TextOfEnum};

static const ColumnReader *
FindReader(Oid type)
{
	int			i;

	for (i = 0; i < (int) lengthof(readers); i++)
	{
		if (readers[i].type == type)
			return &readers[i];
	}
	return type_is_enum(type) ? &enum_reader : NULL;
}

/* ------------------------------------------------------------------- columns */

/* A cast to real[] that somebody defined for this type, as pgvector does. */
static bool
FindCast(TypedColumn *column, Oid type)
{
	Oid			function = InvalidOid;

	if (find_coercion_pathway(FLOAT4ARRAYOID, type, COERCION_EXPLICIT, &function) != COERCION_PATH_FUNC)
		return false;
	if (object_aclcheck(ProcedureRelationId, function, GetUserId(), ACL_EXECUTE) != ACLCHECK_OK)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("permission denied for the cast of column \"%s\" from %s to real[]",
							   column->name, format_type_be(type))));
	fmgr_info_cxt(function, &column->cast, CurrentMemoryContext);
	return true;
}

/* Describes a column of the given type; false when no feature can be made of it. */
bool
TypedColumnInit(TypedColumn *column, const char *name, int index, Oid type)
{
	Oid			base = getBaseType(type);
	Oid			element = get_base_element_type(type);

	memset(column, 0, sizeof(*column));
	column->name = pstrdup(name);
	column->index = index;
	column->type = type;
	column->context = CurrentMemoryContext;
	if (OidIsValid(element))
	{
		column->is_array = true;
		column->element = element;
		column->reader = FindReader(getBaseType(element));
		get_typlenbyvalalign(element, &column->length, &column->by_value, &column->align);
	}
	else
		column->reader = FindReader(base);
	if (column->reader != NULL)
		return true;
	column->has_cast = FindCast(column, base);
	if (!column->has_cast)
		return false;
	column->is_array = true;	/* of what the cast gives */
	column->element = FLOAT4OID;
	column->reader = FindReader(FLOAT4OID);
	get_typlenbyvalalign(FLOAT4OID, &column->length, &column->by_value, &column->align);
	return true;
}

/* Arrays of categories are multi, arrays of numbers are vectors. */
mml_kind
TypedColumnKind(const TypedColumn *column)
{
	if (!column->is_array)
		return column->reader->kind;
	return column->reader->kind == MML_CATEGORICAL ? MML_MULTI : MML_VECTOR;
}

bool
TypedColumnAllocates(const TypedColumn *column)
{
	return column->is_array || column->reader->text == TextOfVarlena || column->reader->text == TextOfBpchar ||
		column->reader->number == NumberOfNumeric;
}

void
TypedColumnText(TypedColumn *column, Datum value, TextValue *text)
{
	if (column->reader->integer == NULL)
		column->reader->text(column, value, text);
	else
	{
		text->bytes = column->scratch;
		text->length = pg_lltoa(column->reader->integer(value), column->scratch);
	}
}

/* -------------------------------------------------------------------- arrays */

/* Walks over the elements of an array. */
typedef struct ItemWalk
{
	const char *next;
	const bits8 *nulls;
	int			n_items;
	int			item;			/* the number of the one last read, from 0 */
} ItemWalk;

static void
ItemWalkBegin(ItemWalk *walk, const PutTarget *target, ArrayType *array)
{
	if (ARR_NDIM(array) > 1)
		ereport(ERROR, (errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
						errmsg("feature \"%s\" takes arrays of one dimension", target->name),
						BindingPlaceDetail(target, psprintf("The array has %d.", ARR_NDIM(array)))));
	walk->next = ARR_DATA_PTR(array);
	walk->nulls = ARR_NULLBITMAP(array);
	walk->n_items = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	walk->item = -1;
}

/* The next element; false behind the last. */
static bool
ItemWalkNext(ItemWalk *walk, const TypedColumn *column, Datum *value, bool *is_null)
{
	if (++walk->item >= walk->n_items)
		return false;
	*is_null = walk->nulls != NULL && (walk->nulls[walk->item / 8] & (1 << (walk->item % 8))) == 0;
	*value = (Datum) 0;
	if (*is_null)
		return true;
	*value = fetch_att(walk->next, column->by_value, column->length);
	walk->next = att_addlength_pointer(walk->next, column->length, walk->next);
	walk->next = (const char *) att_align_nominal(walk->next, column->align);
	return true;
}

/* ---------------------------------------------------------- values to features */

static void
PutInteger(TypedColumn *column, const PutTarget *target, Datum value)
{
	PutCheck(target, mml_put_integer(target->rows, target->field, column->reader->integer(value)));
}

static void
PutText(TypedColumn *column, const PutTarget *target, Datum value)
{
	TextValue	text;

	column->reader->text(column, value, &text);
	PutCheck(target, mml_put_text(target->rows, target->field, text.bytes, text.length));
}

static void
PutNumber(TypedColumn *column, const PutTarget *target, Datum value)
{
	PutCheck(target, mml_put_real(target->rows, target->field, column->reader->number(value)));
}

static void
PutItems(TypedColumn *column, const PutTarget *target, Datum value)
{
	ItemWalk	walk;
	Datum		item;
	bool		is_null;
	TextValue	text;

	ItemWalkBegin(&walk, target, DatumGetArrayTypeP(value));
	PutCheck(target, mml_put_items_begin(target->rows, target->field));
	while (ItemWalkNext(&walk, column, &item, &is_null))
	{
		if (is_null)
			continue;
		if (column->reader->integer != NULL)
			PutCheck(target, mml_put_item_integer(target->rows, target->field, column->reader->integer(item)));
		else
		{
			column->reader->text(column, item, &text);
			PutCheck(target, mml_put_item_text(target->rows, target->field, text.bytes, text.length));
		}
	}
	PutCheck(target, mml_put_items_end(target->rows, target->field));
}

static void
PutVector(TypedColumn *column, const PutTarget *target, Datum value)
{
	ArrayType  *array = DatumGetArrayTypeP(column->has_cast ? column->cast_value : value);
	float	   *numbers;
	ItemWalk	walk;
	Datum		item;
	bool		is_null;

	ItemWalkBegin(&walk, target, array);
	BindingCheckWidth(target, walk.n_items);
	if (column->reader->type == FLOAT4OID && !ARR_HASNULL(array))
		numbers = (float *) ARR_DATA_PTR(array);
	else
	{
		numbers = BindingNumbers(&column->numbers, &column->n_numbers, walk.n_items, column->context);
		while (ItemWalkNext(&walk, column, &item, &is_null))
		{
			if (is_null)
				BindingRefuseNull(target, walk.item);
			numbers[walk.item] = (float) column->reader->number(item);
		}
	}
	PutCheck(target, mml_put_vector(target->rows, target->field, numbers, walk.n_items));
}

/* A literal without a type may be NULL for any feature, but it is no array. */
static void
RefuseLiteral(TypedColumn *column, const PutTarget *target, Datum value)
{
	ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
					errmsg("feature \"%s\" of the model takes arrays, but column \"%s\" is a literal without a type",
						   target->name, column->name),
					BindingPlaceDetail(target, psprintf("The literal is \"%s\".", DatumGetCString(value))),
					errhint("Write ARRAY[...], or cast it, as in '{...}'::text[].")));
}

/* How the column's values become those of a feature of this kind; NULL: they cannot. */
PutValue
TypedColumnPut(const TypedColumn *column, mml_kind kind)
{
	const ColumnReader *reader = column->reader;

	if (column->type == UNKNOWNOID && (kind == MML_MULTI || kind == MML_VECTOR))
		return RefuseLiteral;
	switch (kind)
	{
		case MML_CATEGORICAL:
			if (column->is_array || reader->kind != MML_CATEGORICAL)
				return NULL;
			return reader->integer != NULL ? PutInteger : PutText;
		case MML_NUMERIC:
			return !column->is_array && reader->number != NULL ? PutNumber : NULL;
		case MML_MULTI:
			return column->is_array && reader->kind == MML_CATEGORICAL ? PutItems : NULL;
		case MML_VECTOR:
			return column->is_array && reader->number != NULL ? PutVector : NULL;
	}
	return NULL;
}
