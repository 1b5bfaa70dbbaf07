/*
 * column_options.c - option `columns`: what single features are, where their
 * type does not say it.
 *
 *   {"price":   {"kind": "numeric", "transform": "log1p"},
 *    "age":     {"kind": "numeric", "buckets": [18, 25, 35]},
 *    "user_id": {"hash": 100000}}
 */
#include "postgres.h"

#include <math.h>

#include "utils/jsonb.h"

#include "options.h"

#define MAX_BUCKETS 10000		/* boundaries of one feature */
#define MAX_HASH 1000000000		/* buckets to hash into */

/* An entry while it is read. */
typedef struct Entry
{
	ColumnOption *option;
	const char *implied_by;		/* the key that asks for implied_kind; NULL: none does */
	mml_kind	implied_kind;
} Entry;

static const struct
{
	const char *name;
	mml_kind	kind;
} kinds[] = {
	{"categorical", MML_CATEGORICAL},
	{"numeric", MML_NUMERIC},
	{"multi", MML_MULTI},
	{"vector", MML_VECTOR},
};

/* ------------------------------------------------------------------ messages */

/* Raises: "option "columns": "key" of column "name" must be ...". */
static void
RefuseKey(const Entry *entry, const char *key, const char *wanted, const JsonbValue *value)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("option \"columns\": \"%s\" of column \"%s\" must be %s", key, entry->option->name, wanted),
					OptionValueDetail(value)));
}

/* The key makes sense for one kind only. */
static void
Imply(Entry *entry, const char *key, mml_kind kind)
{
	if (entry->implied_by != NULL && entry->implied_kind != kind)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("option \"columns\": \"%s\" and \"%s\" of column \"%s\" do not go together",
							   entry->implied_by, key, entry->option->name)));
	entry->implied_by = key;
	entry->implied_kind = kind;
}

/* ---------------------------------------------------------------------- keys */

static void
ReadKind(Entry *entry, const JsonbValue *value)
{
	int			i;

	for (i = 0; value->type == jbvString && i < (int) lengthof(kinds); i++)
	{
		if (strcmp(OptionText(value), kinds[i].name) == 0)
		{
			entry->option->has_kind = true;
			entry->option->kind = kinds[i].kind;
			return;
		}
	}
	RefuseKey(entry, "kind", "one of \"categorical\", \"numeric\", \"multi\", \"vector\"", value);
}

static void
ReadTransform(Entry *entry, const JsonbValue *value)
{
	const char *name = value->type == jbvString ? OptionText(value) : "";

	entry->option->log1p = strcmp(name, "log1p") == 0;
	if (!entry->option->log1p && strcmp(name, "none") != 0)
		RefuseKey(entry, "transform", "\"log1p\" or \"none\"", value);
	Imply(entry, "transform", MML_NUMERIC);
}

static void
ReadBuckets(Entry *entry, const JsonbValue *value)
{
	ColumnOption *option = entry->option;
	bool		is_good;
	int			i;

	option->boundaries = OptionNumbers(value, &option->n_boundaries);
	is_good = option->boundaries != NULL && option->n_boundaries >= 1 && option->n_boundaries <= MAX_BUCKETS;
	for (i = 0; is_good && i < option->n_boundaries; i++)
		is_good = isfinite(option->boundaries[i]) && (i == 0 || option->boundaries[i] > option->boundaries[i - 1]);
	if (!is_good)
		RefuseKey(entry, "buckets", psprintf("a list of 1 to %d ascending numbers", MAX_BUCKETS), value);
	Imply(entry, "buckets", MML_NUMERIC);
}

static void
ReadHash(Entry *entry, const JsonbValue *value)
{
	double		number = value->type == jbvNumeric ? OptionNumber(value) : 0.0;

	if (!(number >= 1.0 && number <= MAX_HASH) || number != floor(number))
		RefuseKey(entry, "hash", psprintf("a whole number from 1 to %d", MAX_HASH), value);
	entry->option->hash_buckets = (uint32) number;
}

static void
ReadProjection(Entry *entry, const JsonbValue *value)
{
	if (value->type != jbvBool)
		RefuseKey(entry, "projection", "true or false", value);
	entry->option->project = value->val.boolean;
	Imply(entry, "projection", MML_VECTOR);
}

static void
ReadStandardize(Entry *entry, const JsonbValue *value)
{
	if (value->type != jbvBool)
		RefuseKey(entry, "standardize", "true or false", value);
	entry->option->standardize = value->val.boolean;
	Imply(entry, "standardize", MML_NUMERIC);
}

static const struct
{
	const char *name;
	void		(*read) (Entry *entry, const JsonbValue *value);
} keys[] = {
	{"kind", ReadKind},
	{"transform", ReadTransform},
	{"buckets", ReadBuckets},
	{"hash", ReadHash},
	{"projection", ReadProjection},
	{"standardize", ReadStandardize},
};

/* ------------------------------------------------------------------- entries */

static void
ReadKey(Entry *entry, const char *name, const JsonbValue *value)
{
	NearMiss	miss;
	int			i;

	NearMissInit(&miss, name);
	for (i = 0; i < (int) lengthof(keys); i++)
	{
		if (strcmp(keys[i].name, name) == 0)
		{
			keys[i].read(entry, value);
			return;
		}
		NearMissOffer(&miss, keys[i].name);
	}
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("option \"columns\": unrecognized key \"%s\" of column \"%s\"", name, entry->option->name),
					miss.best != NULL ? NearMissHint(&miss) :
					errhint("Keys are kind, transform, buckets, hash, projection, standardize.")));
}

/* Keys that do not go with the kind, or with each other. */
static void
SettleKind(Entry *entry)
{
	ColumnOption *option = entry->option;

	if (entry->implied_by != NULL && option->has_kind && option->kind != entry->implied_kind)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("option \"columns\": \"%s\" of column \"%s\" needs kind \"%s\"", entry->implied_by,
							   option->name, kinds[entry->implied_kind].name)));
	if (entry->implied_by != NULL && option->hash_buckets > 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("option \"columns\": \"hash\" and \"%s\" of column \"%s\" do not go together",
							   entry->implied_by, option->name)));
	if (entry->implied_by != NULL)
	{
		option->has_kind = true;
		option->kind = entry->implied_kind;
	}
}

static ColumnOption *
ReadEntry(char *name, const JsonbValue *value)
{
	Entry		entry = {.option = palloc0(sizeof(ColumnOption))};
	JsonbIterator *iterator;
	JsonbValue	inner;
	char	   *key;

	entry.option->name = name;
	entry.option->standardize = true;
	entry.option->project = true;
	if (value->type != jbvBinary || !JsonContainerIsObject(value->val.binary.data))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("option \"columns\": column \"%s\" must have an object", name),
						OptionValueDetail(value),
						errhint("Write it as in {\"kind\": \"numeric\"}.")));
	iterator = JsonbIteratorInit(value->val.binary.data);
	while (OptionNextKey(&iterator, &key, &inner))
		ReadKey(&entry, key, &inner);
	SettleKind(&entry);
	return entry.option;
}

/* Option `columns` as a List of ColumnOption. */
List *
ColumnOptionsParse(const JsonbValue *value)
{
	List	   *columns = NIL;
	JsonbIterator *iterator;
	JsonbValue	inner;
	char	   *name;

	if (value->type != jbvBinary || !JsonContainerIsObject(value->val.binary.data))
		OptionRefuse("columns", "an object of columns", value);
	iterator = JsonbIteratorInit(value->val.binary.data);
	while (OptionNextKey(&iterator, &name, &inner))
		columns = lappend(columns, ReadEntry(name, &inner));
	return columns;
}
