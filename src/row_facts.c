/*
 * row_facts.c - the columns beside the features: label, domain, and those that
 * options name (split, time, weight).  Each has its own types and its own
 * rule for what is no good; every message names row and column.
 */
#include "postgres.h"

#include <float.h>
#include <math.h>

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "binding.h"

struct FactColumn
{
	FactRole	role;
	TypedColumn column;
	double		(*number) (Datum value);
};

/* ---------------------------------------------------------------- the roles */

/* What a role's column must be like. */
static const struct
{
	const char *title;
	const char *types;			/* that it may have */
	bool		is_text;		/* it is read as text, not as a number */
	const char *cast;			/* for the hint */
} roles[] = {
	[FACT_LABEL] = {"label column", "boolean or a number type", false, "boolean"},
	[FACT_DOMAIN] = {"domain column", "text, an integer type, enum, uuid, boolean or date", true, "text"},
	[FACT_SPLIT] = {"split column", "text", true, "text"},
	[FACT_TIME] = {"time column", "a number type, date or timestamp", false, "timestamptz"},
	[FACT_WEIGHT] = {"weight column", "a number type", false, "real"},
};

static double
NumberOfBool(Datum value)
{
	return DatumGetBool(value) ? 1.0 : 0.0;
}

static double
NumberOfDate(Datum value)
{
	return DatumGetDateADT(value);
}

static double
NumberOfTimestamp(Datum value)
{
	return (double) DatumGetTimestamp(value);
}

/* Types that are numbers in one role only. */
static const struct
{
	FactRole	role;
	Oid			type;
	double		(*number) (Datum value);
} more_numbers[] = {
	{FACT_LABEL, BOOLOID, NumberOfBool},
	{FACT_TIME, DATEOID, NumberOfDate},
	{FACT_TIME, TIMESTAMPOID, NumberOfTimestamp},
	{FACT_TIME, TIMESTAMPTZOID, NumberOfTimestamp},
};

static void
RefuseType(FactRole role, const char *name, Oid type)
{
	ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
					errmsg("%s \"%s\" cannot be of type %s", roles[role].title, name, format_type_be(type)),
					errdetail("It must be %s.", roles[role].types),
					errhint("Cast it in the source, as in %s::%s.", quote_identifier(name), roles[role].cast)));
}

/* Finds the column and how to read it. */
FactColumn *
FactColumnFind(TupleDesc desc, const char *name, FactRole role)
{
	FactColumn *fact = palloc0(sizeof(FactColumn));
	int			index = BindingFindColumn(desc, name, roles[role].title);
	Oid			type = TupleDescAttr(desc, index)->atttypid;
	bool		is_known = TypedColumnInit(&fact->column, name, index, type) && !fact->column.is_array;
	const ColumnReader *reader = is_known ? fact->column.reader : NULL;
	int			i;

	fact->role = role;
	fact->column.index = index;
	if (reader != NULL && roles[role].is_text && (reader->text != NULL || reader->integer != NULL))
		return fact;
	if (reader != NULL && !roles[role].is_text)
		fact->number = reader->number;
	for (i = 0; i < (int) lengthof(more_numbers); i++)
	{
		if (more_numbers[i].role == role && more_numbers[i].type == getBaseType(type))
			fact->number = more_numbers[i].number;
	}
	if (fact->number == NULL)
		RefuseType(role, name, type);
	return fact;
}

/* Its number, from 1. */
int
FactColumnNumber(const FactColumn *fact)
{
	return fact->column.index + 1;
}

/* ------------------------------------------------------------------- values */

static void
RefuseNull(const FactColumn *fact, int64 row)
{
	ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					errmsg("%s \"%s\" is NULL", roles[fact->role].title, fact->column.name),
					errdetail("It is so in row " INT64_FORMAT ".", row),
					errhint("Leave such rows out in the source, or fill them with coalesce().")));
}

static void
RefuseNumber(const FactColumn *fact, int64 row, double number, const char *range)
{
	ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					errmsg("%s \"%s\" must be %s", roles[fact->role].title, fact->column.name, range),
					errdetail("Row " INT64_FORMAT " has the value %.17g.", row, number)));
}

/* A label or a weight. False: it is NULL, which only a label may be. */
bool
FactNumber(FactColumn *fact, const Datum *values, const bool *nulls, int64 row, double *number)
{
	if (nulls[fact->column.index])
	{
		if (fact->role != FACT_LABEL)
			RefuseNull(fact, row);
		return false;
	}
	*number = fact->number(values[fact->column.index]);
	if (fact->role == FACT_LABEL && !(*number >= 0.0 && *number <= 1.0))
		RefuseNumber(fact, row, *number, "between 0 and 1");
	if (fact->role == FACT_WEIGHT && !(*number >= 0.0 && isfinite((float) *number)))
		RefuseNumber(fact, row, *number, "a finite number of at least 0");
	return true;
}

/* A moment as a finite number that orders as the moments do. */
double
FactTime(FactColumn *fact, const Datum *values, const bool *nulls, int64 row)
{
	double		number;

	if (nulls[fact->column.index])
		RefuseNull(fact, row);
	number = fact->number(values[fact->column.index]);
	if (isnan(number))
		RefuseNumber(fact, row, number, "a number");
	return isinf(number) ? copysign(DBL_MAX, number) : number;
}

/* The word of a row for where it belongs. */
mml_split
FactSplit(FactColumn *fact, const Datum *values, const bool *nulls, int64 row, bool *is_test)
{
	TextValue	text;

	if (nulls[fact->column.index])
		RefuseNull(fact, row);
	TypedColumnText(&fact->column, values[fact->column.index], &text);
	*is_test = text.length == 4 && memcmp(text.bytes, "test", 4) == 0;
	if (text.length == 5 && memcmp(text.bytes, "valid", 5) == 0)
		return MML_SPLIT_VALID;
	if (!*is_test && !(text.length == 5 && memcmp(text.bytes, "train", 5) == 0))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("split column \"%s\" must be train, valid or test", fact->column.name),
						errdetail("Row " INT64_FORMAT " has the value \"%s\".", row,
								  pnstrdup(text.bytes, pg_mbcliplen(text.bytes, text.length, 100)))));
	return MML_SPLIT_TRAIN;
}

/* A domain's canonical text. False: NULL. */
bool
FactDomain(FactColumn *fact, const Datum *values, const bool *nulls, const char **text, size_t *length)
{
	TextValue	value;

	if (nulls[fact->column.index])
		return false;
	TypedColumnText(&fact->column, values[fact->column.index], &value);
	*text = value.bytes;
	*length = value.length;
	return true;
}
