/*
 * binding.c - which column fills which feature, by name and type.
 *
 * For training, columns make features: the type gives the kind and option
 * `columns` may change it.  For scoring, the model has the features, and every
 * one of them must find a column whose values it can take.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/pg_list.h"
#include "nodes/value.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "binding.h"

/* ------------------------------------------------------------------ messages */

static const char *const kind_names[] = {
	[MML_CATEGORICAL] = "categorical",
	[MML_NUMERIC] = "numeric",
	[MML_MULTI] = "multi",
	[MML_VECTOR] = "vector",
};

/* What to cast to for a kind. */
static const char *const kind_casts[] = {
	[MML_CATEGORICAL] = "text",
	[MML_NUMERIC] = "real",
	[MML_MULTI] = "text[]",
	[MML_VECTOR] = "real[]",
};

const char *
BindingKindName(mml_kind kind)
{
	return kind_names[kind];
}

/* How to make a feature of a type that is none: text before and behind the column's name. */
static const struct
{
	Oid			type;
	const char *before;
	const char *behind;
} suggestions[] = {
	{TIMESTAMPTZOID, "extract(hour from ", ")"},
	{TIMESTAMPOID, "extract(hour from ", ")"},
	{TIMETZOID, "extract(hour from ", ")"},
	{TIMEOID, "extract(hour from ", ")"},
	{INTERVALOID, "extract(epoch from ", ")"},
	{CASHOID, "", "::numeric"},
	{BYTEAOID, "encode(", ", 'hex')"},
	{JSONBOID, "(", " ->> 'key')"},
	{JSONOID, "(", " ->> 'key')"},
};

/* Raises: no feature can be made of a column of this type. */
static void
RefuseType(const char *column, Oid type)
{
	Oid			base = getBaseType(type);
	const char *quoted = quote_identifier(column);
	const char *before = "";
	const char *behind = type_is_array(base) ? "::text[]" : "::text";
	bool		is_moment = base == TIMESTAMPTZOID || base == TIMESTAMPOID;
	int			i;

	for (i = 0; i < (int) lengthof(suggestions); i++)
	{
		if (suggestions[i].type == base)
		{
			before = suggestions[i].before;
			behind = suggestions[i].behind;
		}
	}
	ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
					errmsg("column \"%s\" of type %s cannot be a feature", column, format_type_be(type)),
					is_moment ?
					errhint("Cast it in the source, as in %s%s%s or date_trunc('week', %s)::date.",
							before, quoted, behind, quoted) :
					errhint("Cast it in the source, as in %s%s%s, or leave it out of the features.",
							before, quoted, behind)));
}

/* Inside ereport(): how values of the column become such of the kind. */
static int
CastHint(const TypedColumn *column, mml_kind kind)
{
	const char *quoted = quote_identifier(column->name);
	const ColumnReader *reader = column->reader;
	bool		wants_array = kind == MML_MULTI || kind == MML_VECTOR;
	bool		is_text = reader != NULL && !column->is_array && reader->text != NULL;

	if (column->is_array && !wants_array)
		return errhint("Take one element, as in %s[1].", quoted);
	if (!column->is_array && wants_array && !is_text)
		return errhint("Make it an array, as in ARRAY[%s]::%s.", quoted, kind_casts[kind]);
	if (reader != NULL && reader->type == BOOLOID && kind == MML_NUMERIC)
		return errhint("Cast it, as in %s::integer.", quoted);
	if (reader != NULL && reader->kind == MML_NUMERIC && kind == MML_CATEGORICAL)
		return errhint("Cast it, as in %s::bigint.", quoted);
	return errhint("Cast it, as in %s::%s.", quoted, kind_casts[kind]);
}

/* Raises: the column's values are not of the wanted kind. */
static void
RefuseKind(const TypedColumn *column, mml_kind kind)
{
	ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
					errmsg("column \"%s\" of type %s cannot be a %s feature",
						   column->name, format_type_be(column->type), BindingKindName(kind)),
					kind == MML_CATEGORICAL && TypedColumnKind(column) == MML_NUMERIC ?
					errhint("Give it \"buckets\", or cast it in the source, as in %s::bigint.",
							quote_identifier(column->name)) :
					CastHint(column, kind)));
}

/* The detail, with the place of the value behind the facts, as BridgeCheckValue() has it. */
int
BindingPlaceDetail(const PutTarget *target, const char *facts)
{
	if (target->row > 0)
		return errdetail("%s Row " INT64_FORMAT ", column \"%s\".", facts, target->row, target->name);
	return errdetail("%s Column \"%s\".", facts, target->name);
}

void
BindingCheckWidth(const PutTarget *target, int width)
{
	if (width == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("vector of feature \"%s\" is empty", target->name),
						BindingPlaceDetail(target, "It has no elements."),
						errhint("Use NULL where there is no vector.")));
}

void
BindingRefuseNull(const PutTarget *target, int item)
{
	ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					errmsg("vector of feature \"%s\" has a NULL element", target->name),
					BindingPlaceDetail(target, psprintf("It is element %d.", item + 1)),
					errhint("Use NULL for the whole vector, or fill the element.")));
}

/* ------------------------------------------------------------------- columns */

/* The number (from 0) of the only column of that name, or -1. */
static int
FindColumn(TupleDesc desc, const char *name)
{
	int			found = -1;
	int			i;

	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, i);

		if (column->attisdropped || strcmp(NameStr(column->attname), name) != 0)
			continue;
		if (found >= 0)
			ereport(ERROR, (errcode(ERRCODE_AMBIGUOUS_COLUMN),
							errmsg("column \"%s\" appears more than once", name),
							errhint("Give each column a name of its own.")));
		found = i;
	}
	return found;
}

static void
OfferColumns(NearMiss *miss, TupleDesc desc)
{
	int			i;

	for (i = 0; i < desc->natts; i++)
	{
		if (!TupleDescAttr(desc, i)->attisdropped)
			NearMissOffer(miss, NameStr(TupleDescAttr(desc, i)->attname));
	}
}

/* The number (from 0) of the one column of that name; raises when there is none. */
int
BindingFindColumn(TupleDesc desc, const char *name, const char *role)
{
	int			index = FindColumn(desc, name);
	NearMiss	miss;

	if (index < 0)
	{
		NearMissInit(&miss, name);
		OfferColumns(&miss, desc);
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
						errmsg("%s \"%s\" does not exist in the source", role, name),
						NearMissHint(&miss)));
	}
	return index;
}

/* Room for `count` numbers, kept and grown in `context`. */
float *
BindingNumbers(float **numbers, size_t *capacity, size_t count, MemoryContext context)
{
	if (*capacity < count)
	{
		if (*numbers != NULL)
			pfree(*numbers);
		*numbers = NULL;
		*numbers = MemoryContextAlloc(context, count * sizeof(float));
		*capacity = count;
	}
	return *numbers;
}

/* Describes column `index` of the row for a feature. */
static void
DescribeColumn(TypedColumn *column, TupleDesc desc, int index)
{
	Form_pg_attribute attribute = TupleDescAttr(desc, index);

	if (!TypedColumnInit(column, NameStr(attribute->attname), index, attribute->atttypid))
		RefuseType(NameStr(attribute->attname), attribute->atttypid);
}

/* Notes what the binding as a whole needs to know of a feature's column. */
static void
CountColumn(Binding *binding, const TypedColumn *column)
{
	binding->last_column = Max(binding->last_column, column->index + 1);
	binding->has_casts |= column->has_cast;
	if (binding->row_context == NULL && TypedColumnAllocates(column))
		binding->row_context = AllocSetContextCreate(CurrentMemoryContext, "moemlora row", ALLOCSET_SMALL_SIZES);
}

/* ------------------------------------------------------------------ training */

/* The columns that are no features, by what they are. */
typedef struct Roles
{
	const char *label;
	const char *domain;
	const TrainOptions *options;
} Roles;

/* What the column is beside the features, or NULL. */
static const char *
RoleOf(const Roles *roles, const char *column)
{
	const struct
	{
		const char *role;
		const char *column;
	}			known[] = {
		{"label", roles->label},
		{"domain", roles->domain},
		{"split_column", roles->options->split_column},
		{"time_column", roles->options->time_column},
		{"weight_column", roles->options->weight_column},
	};
	int			i;

	for (i = 0; i < (int) lengthof(known); i++)
	{
		if (known[i].column != NULL && strcmp(known[i].column, column) == 0)
			return known[i].role;
	}
	return NULL;
}

/* The columns that are features, in order: a List of String nodes. */
static List *
ChooseFeatures(TupleDesc desc, List *features, const Roles *roles)
{
	List	   *chosen = NIL;
	ListCell   *cell;
	int			i;

	foreach(cell, features)
	{
		const char *name = strVal(lfirst(cell));
		const char *role = RoleOf(roles, name);

		if (role != NULL)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("column \"%s\" is the %s and cannot be a feature too", name, role),
							errhint("Leave it out of the features.")));
		if (list_member(chosen, lfirst(cell)))
			ereport(ERROR, (errcode(ERRCODE_DUPLICATE_COLUMN),
							errmsg("feature \"%s\" is listed more than once", name)));
		chosen = lappend(chosen, lfirst(cell));
	}
	for (i = 0; features == NIL && i < desc->natts; i++)
	{
		const char *name = NameStr(TupleDescAttr(desc, i)->attname);

		if (!TupleDescAttr(desc, i)->attisdropped && RoleOf(roles, name) == NULL)
			chosen = lappend(chosen, makeString(pstrdup(name)));
	}
	if (chosen == NIL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
						errmsg("the source has no column that can be a feature"),
						errdetail("Its columns are the label, the domain and those named in options.")));
	return chosen;
}

/* The entry of option `columns` for a feature, or NULL. */
static const ColumnOption *
FindOption(const TrainOptions *options, const char *name)
{
	ListCell   *cell;

	foreach(cell, options->columns)
	{
		const ColumnOption *option = lfirst(cell);

		if (strcmp(option->name, name) == 0)
			return option;
	}
	return NULL;
}

/* Every entry of option `columns` must be about a feature. */
static void
CheckColumnOptions(const TrainOptions *options, List *chosen)
{
	ListCell   *cell;
	ListCell   *other;
	NearMiss	miss;

	foreach(cell, options->columns)
	{
		const ColumnOption *option = lfirst(cell);

		if (list_member(chosen, makeString(option->name)))
			continue;
		NearMissInit(&miss, option->name);
		foreach(other, chosen)
			NearMissOffer(&miss, strVal(lfirst(other)));
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
						errmsg("option \"columns\" names \"%s\", which is not a feature", option->name),
						NearMissHint(&miss)));
	}
}

/* What the feature is: by the column's type, and by its entry of option `columns`. */
static void
SpecifyFeature(mml_field_spec *spec, BoundFeature *feature, const ColumnOption *option)
{
	spec->name = feature->name;
	spec->kind = TypedColumnKind(&feature->column);
	spec->standardize = true;
	spec->project = true;
	if (option != NULL)
	{
		spec->kind = option->has_kind ? option->kind : spec->kind;
		spec->hash_buckets = option->hash_buckets;
		spec->log1p = option->log1p;
		spec->standardize = option->standardize;
		spec->project = option->project;
		spec->boundaries = option->boundaries;
		spec->n_boundaries = option->n_boundaries;
	}
	if (spec->hash_buckets > 0 && spec->kind != MML_CATEGORICAL && spec->kind != MML_MULTI)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("\"hash\" of column \"%s\" is for categorical and multi features only", feature->name),
						errdetail("A column of type %s is %s.", format_type_be(feature->column.type),
								  BindingKindName(spec->kind))));
	feature->kind = spec->kind;
	feature->put = TypedColumnPut(&feature->column, spec->kind);
	if (feature->put == NULL)
		RefuseKind(&feature->column, spec->kind);
	if (spec->n_boundaries > 0)
		spec->kind = MML_CATEGORICAL;	/* made of numbers */
}

/* Which columns are features and of what kind; what the core wants to know of them. */
Binding *
BindingForTraining(TupleDesc desc, List *features, const char *label, const char *domain,
				   const TrainOptions *options, mml_field_spec **specs, int *n_specs)
{
	Binding    *binding = palloc0(sizeof(Binding));
	Roles		roles = {label, domain, options};
	List	   *chosen = ChooseFeatures(desc, features, &roles);
	int			i;

	CheckColumnOptions(options, chosen);
	binding->n_features = list_length(chosen);
	binding->features = palloc0(binding->n_features * sizeof(BoundFeature));
	*n_specs = binding->n_features;
	*specs = palloc0(*n_specs * sizeof(mml_field_spec));
	for (i = 0; i < binding->n_features; i++)
	{
		BoundFeature *feature = &binding->features[i];

		feature->name = strVal(list_nth(chosen, i));
		DescribeColumn(&feature->column, desc, BindingFindColumn(desc, feature->name, "feature"));
		SpecifyFeature(&(*specs)[i], feature, FindOption(options, feature->name));
		CountColumn(binding, &feature->column);
	}
	return binding;
}

/* SQL type names of the features' columns, in order. */
List *
BindingTypeNames(const Binding *binding)
{
	List	   *names = NIL;
	int			i;

	for (i = 0; i < binding->n_features; i++)
		names = lappend(names, format_type_be(binding->features[i].column.type));
	return names;
}

/* ------------------------------------------------------------------- scoring */

/* Raises: the row has no column for the feature. */
static void
RefuseMissing(TupleDesc desc, const char *feature)
{
	NearMiss	miss;

	NearMissInit(&miss, feature);
	OfferColumns(&miss, desc);
	ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
					errmsg("feature \"%s\" is missing from the row", feature),
					errdetail("The model needs a column of that name."),
					miss.best != NULL ? NearMissHint(&miss) :
					errhint("Add the column; NULL AS %s where there is no value.", quote_identifier(feature))));
}

/* Fills feature number `i` from column `index`. */
static void
BindFeature(Binding *binding, int i, TupleDesc desc, int index, const mml_field_spec *spec)
{
	BoundFeature *feature = &binding->features[i];
	Form_pg_attribute attribute = TupleDescAttr(desc, index);
	bool		is_known = TypedColumnInit(&feature->column, NameStr(attribute->attname), index, attribute->atttypid);

	feature->name = pstrdup(spec->name);
	feature->kind = spec->n_boundaries > 0 ? MML_NUMERIC : spec->kind;
	feature->put = is_known ? TypedColumnPut(&feature->column, feature->kind) : NULL;
	if (feature->put == NULL)
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
						errmsg("feature \"%s\" of the model is %s, but column \"%s\" is of type %s",
							   feature->name, BindingKindName(feature->kind), feature->column.name,
							   format_type_be(attribute->atttypid)),
						CastHint(&feature->column, feature->kind)));
	CountColumn(binding, &feature->column);
}

static Binding *
CreateForModel(const mml_model *model)
{
	Binding    *binding = palloc0(sizeof(Binding));

	binding->n_features = mml_model_features(model);
	binding->features = palloc0(binding->n_features * sizeof(BoundFeature));
	return binding;
}

/* By name, whatever the names are. */
Binding *
BindingForColumns(TupleDesc desc, const mml_model *model)
{
	Binding    *binding = CreateForModel(model);
	mml_field_spec spec;
	int			index;
	int			i;

	for (i = 0; i < binding->n_features; i++)
	{
		mml_model_feature(model, i, &spec);
		index = FindColumn(desc, spec.name);
		if (index < 0)
			RefuseMissing(desc, spec.name);
		BindFeature(binding, i, desc, index, &spec);
	}
	return binding;
}

/* The feature is column 1, all others are column 2, which must be NULL; feature n_features is none of them. */
Binding *
BindingForValue(TupleDesc desc, const mml_model *model, int feature)
{
	Binding    *binding = CreateForModel(model);
	mml_field_spec spec;
	int			i;

	for (i = 0; i < binding->n_features; i++)
		binding->features[i].column.index = 1;
	if (feature < binding->n_features)
	{
		mml_model_feature(model, feature, &spec);
		BindFeature(binding, feature, desc, 0, &spec);
	}
	return binding;
}

/* ROW(...) gives its fields the names f1, f2, ... */
static bool
HasNoNames(TupleDesc desc)
{
	char		name[NAMEDATALEN];
	int			i;

	for (i = 0; desc->tdtypeid == RECORDOID && i < desc->natts; i++)
	{
		snprintf(name, sizeof(name), "f%d", i + 1);
		if (strcmp(NameStr(TupleDescAttr(desc, i)->attname), name) != 0)
			return false;
	}
	return desc->tdtypeid == RECORDOID;
}

/*
 * A model may have features called f2, f1: then the fields f1, f2 of a record
 * say one thing by name and another by position.
 */
static void
RefuseContradiction(TupleDesc desc, int position, const char *feature)
{
	int			index = FindColumn(desc, feature);

	if (index >= 0 && index != position)
		ereport(ERROR, (errcode(ERRCODE_AMBIGUOUS_COLUMN),
						errmsg("fields of the record bind to features by position or by name, with different results"),
						errdetail("Feature %d of the model is called \"%s\".", position + 1, feature),
						errhint("Pass the features as jsonb, or as a row of a table or composite type.")));
}

/* By name, or by position for ROW(...). */
Binding *
BindingForRecord(TupleDesc desc, const mml_model *model)
{
	Binding    *binding;
	mml_field_spec spec;
	int			i;

	if (!HasNoNames(desc))
		return BindingForColumns(desc, model);
	binding = CreateForModel(model);
	if (desc->natts != binding->n_features)
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
						errmsg("record has %d fields, but the model has %d features", desc->natts, binding->n_features),
						errdetail("A record without column names binds by position."),
						errhint("Pass all features in the model's order, or a row with column names.")));
	for (i = 0; i < binding->n_features; i++)
	{
		mml_model_feature(model, i, &spec);
		RefuseContradiction(desc, i, spec.name);
		BindFeature(binding, i, desc, i, &spec);
	}
	return binding;
}

/* -------------------------------------------------------------------- values */

/* The number of the last column that BindingPutValues looks at. */
int
BindingLastColumn(const Binding *binding)
{
	return binding->last_column;
}

void
BindingMarkColumns(const Binding *binding, bool *is_read)
{
	int			i;

	for (i = 0; i < binding->n_features; i++)
		is_read[binding->features[i].column.index] = true;
}

/* A cast takes the value, and perhaps a type modifier and whether it is explicit. */
static Datum
RunCast(TypedColumn *column, Datum value)
{
	LOCAL_FCINFO(call, 3);
	Datum		result;

	InitFunctionCallInfoData(*call, &column->cast, column->cast.fn_nargs, InvalidOid, NULL, NULL);
	call->args[0].value = value;
	call->args[0].isnull = false;
	call->args[1].value = Int32GetDatum(-1);
	call->args[1].isnull = false;
	call->args[2].value = BoolGetDatum(true);
	call->args[2].isnull = false;
	result = FunctionCallInvoke(call);
	if (call->isnull)
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("cast of column \"%s\" from %s to real[] gave NULL",
							   column->name, format_type_be(column->type))));
	return result;
}

/* Frees what the row before took, and runs the casts. */
void
BindingBeginRow(Binding *binding, const Datum *values, const bool *nulls)
{
	MemoryContext caller;
	int			i;

	if (binding->row_context == NULL)
		return;
	MemoryContextReset(binding->row_context);
	if (!binding->has_casts)
		return;
	caller = MemoryContextSwitchTo(binding->row_context);
	for (i = 0; i < binding->n_features; i++)
	{
		TypedColumn *column = &binding->features[i].column;

		if (column->has_cast && !nulls[column->index])
			column->cast_value = RunCast(column, values[column->index]);
	}
	MemoryContextSwitchTo(caller);
}

bool
BindingHasCasts(const Binding *binding)
{
	return binding->has_casts;
}

/* What the casts of the row gave, by feature. */
Datum *
BindingKeepCasts(const Binding *binding, const bool *nulls)
{
	Datum	   *casts = palloc0(binding->n_features * sizeof(Datum));
	int			i;

	for (i = 0; i < binding->n_features; i++)
	{
		const TypedColumn *column = &binding->features[i].column;

		if (column->has_cast && !nulls[column->index])
			casts[i] = PointerGetDatum(PG_DETOAST_DATUM_COPY(column->cast_value));
	}
	return casts;
}

/* Frees what the row before took; the casts have run. */
void
BindingBeginKeptRow(Binding *binding, const Datum *casts)
{
	int			i;

	if (binding->row_context != NULL)
		MemoryContextReset(binding->row_context);
	for (i = 0; binding->has_casts && i < binding->n_features; i++)
		binding->features[i].column.cast_value = casts[i];
}

/* Puts all features of one row. */
void
BindingPutValues(Binding *binding, mml_host *host, mml_rows *rows, const Datum *values, const bool *nulls, int64 row)
{
	PutTarget	target = {.host = host, .rows = rows, .row = row};
	MemoryContext caller = CurrentMemoryContext;
	int			i;

	if (binding->row_context != NULL)
		MemoryContextSwitchTo(binding->row_context);
	for (i = 0; i < binding->n_features; i++)
	{
		BoundFeature *feature = &binding->features[i];
		int			index = feature->column.index;

		target.field = i;
		target.name = feature->name;
		if (nulls[index])
			PutCheck(&target, mml_put_null(rows, i));
		else
			feature->put(&feature->column, &target, values[index]);
	}
	MemoryContextSwitchTo(caller);
}
