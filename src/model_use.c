/*
 * model_use.c - from a model's name and a row's type to a decoded model and
 * the columns that are its features: what a call site keeps from row to row.
 *
 * See model_use.h for what every row passes through.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "utils/memutils.h"

#include "model_use.h"

void
ModelUsesInit(ModelUses *uses, MemoryContext context)
{
	memset(uses, 0, sizeof(*uses));
	uses->context = context;
}

/* Forgets the columns. */
static void
Unbind(ModelUse *use)
{
	use->binding = NULL;
	MemoryContextReset(use->context);
}

/* A use of nothing: a new one, or one that was for something else. */
static ModelUse *
TakeUse(ModelUses *uses)
{
	ModelUse   *use;
	MemoryContext context;

	if (uses->n_uses < MAX_MODEL_USES)
	{
		use = MemoryContextAllocZero(uses->context, sizeof(ModelUse));
		use->context = AllocSetContextCreate(uses->context, "moemlora columns", ALLOCSET_SMALL_SIZES);
		return uses->uses[uses->n_uses++] = use;
	}
	use = uses->uses[uses->next_victim];
	uses->next_victim = (uses->next_victim + 1) % MAX_MODEL_USES;
	Unbind(use);
	if (use->name != NULL)
		pfree(use->name);
	context = use->context;
	memset(use, 0, sizeof(*use));
	use->context = context;
	return use;
}

ModelUse *
ModelUsesSearch(ModelUses *uses, const text *name, Oid type, int32 typmod)
{
	ModelUse   *use;
	int			i;

	for (i = 0; i < uses->n_uses; i++)
	{
		if (ModelUseIsFor(uses->uses[i], name, type, typmod))
			return uses->last = uses->uses[i];
	}
	use = TakeUse(uses);
	uses->last = use;
	use->type = type;
	use->typmod = typmod;
	use->name_length = VARSIZE_ANY_EXHDR(name);
	use->name = MemoryContextAlloc(uses->context, use->name_length + 1);
	memcpy(use->name, VARDATA_ANY(name), use->name_length);
	use->name[use->name_length] = '\0';
	return use;
}

static void
MomentSet(Moment *moment, Snapshot snapshot)
{
	moment->subtransaction = GetCurrentSubTransactionId();
	moment->xmax = snapshot->xmax;
	moment->xcnt = snapshot->xcnt;
	moment->subxcnt = snapshot->subxcnt;
	moment->curcid = snapshot->curcid;
	moment->user = GetUserId();
}

void
ModelUseResolveAnew(ModelUse *use, Snapshot snapshot)
{
	ModelVersion version;

	use->is_resolved = false;
	ModelStoreResolve(use->name, 0, snapshot, MODEL_USE, &version);
	if (use->cached == NULL || memcmp(&version.uuid, &use->version.uuid, sizeof(version.uuid)) != 0)
	{
		Unbind(use);
		use->cached = NULL;
	}
	use->version = version;
	MomentSet(&use->moment, snapshot);
	use->is_resolved = true;
}

/* ------------------------------------------------------------- models as values */

/* Pointers into toast tables are good for one moment: later the same one may mean another value. */
static void
ForgetPointers(ModelUses *uses)
{
	Snapshot	snapshot = PresentSnapshot();
	int			i;

	if (MomentIsNow(&uses->moment, snapshot))
		return;
	for (i = 0; i < uses->n_uses; i++)
		uses->uses[i]->has_pointer = false;
	MomentSet(&uses->moment, snapshot);
}

/* One that is known at once to be for the value. */
static ModelUse *
FindByPlace(const ModelUses *uses, Datum value, Oid type, int32 typmod)
{
	int			i;

	for (i = 0; i < uses->n_uses; i++)
	{
		ModelUse   *use = uses->uses[i];

		if (use->type == type && use->typmod == typmod && ModelUseIsForValue(uses, use, value))
			return use;
	}
	return NULL;
}

static ModelUse *
FindByDigest(const ModelUses *uses, const mml_digest *digest, Oid type, int32 typmod)
{
	int			i;

	for (i = 0; i < uses->n_uses; i++)
	{
		ModelUse   *use = uses->uses[i];

		if (use->type == type && use->typmod == typmod && use->name == NULL &&
			memcmp(use->digest.heads, digest->heads, sizeof(digest->heads)) == 0)
			return use;
	}
	return NULL;
}

/* The one for the model that the value is. */
static ModelUse *
FindByContent(ModelUses *uses, Datum value, Oid type, int32 typmod)
{
	mml_digest	digest;
	ModelUse   *use;

	ModelValueIdentify(value, &digest);
	use = FindByDigest(uses, &digest, type, typmod);
	if (use == NULL)
	{
		use = TakeUse(uses);
		use->type = type;
		use->typmod = typmod;
		use->digest = digest;
	}
	use->has_pointer = VARATT_IS_EXTERNAL_ONDISK(DatumGetPointer(value));
	if (use->has_pointer)
		VARATT_EXTERNAL_GET_POINTER(use->pointer, DatumGetPointer(value));
	return use;
}

ModelUse *
ModelUsesSearchValue(ModelUses *uses, Datum value, Oid type, int32 typmod)
{
	ModelUse   *use;

	if (VARATT_IS_EXTERNAL_ONDISK(DatumGetPointer(value)))
		ForgetPointers(uses);
	use = FindByPlace(uses, value, type, typmod);
	if (use == NULL)
		use = FindByContent(uses, value, type, typmod);
	use->value = value;
	return uses->last = use;
}

/* ----------------------------------------------------------------- model and row */

void
ModelUseFetch(ModelUse *use)
{
	use->cached = NULL;
	use->cached = use->name == NULL ? ModelCacheGetValue(&use->digest, use->value) :
		ModelCacheGet(&use->version, GetActiveSnapshot());
	use->generation = ModelCacheGeneration();
}

/*
 * The columns to read of a row.  Of a record, those up to the last one needed;
 * a row of a named type the server checks against the whole definition of the
 * type, since that may have changed after the row was made.
 */
static TupleDesc
ColumnsToRead(TupleDesc desc, int n_needed)
{
	TupleDesc	columns;
	AttrNumber	i;

	if (desc->tdtypeid != RECORDOID)
		return CreateTupleDescCopyConstr(desc);
	columns = CreateTemplateTupleDesc(n_needed);
	for (i = 1; i <= n_needed; i++)
		TupleDescCopyEntry(columns, i, desc, i);
	return columns;
}

/* Finds the features among the columns of the row's type. */
void
ModelUseBindColumns(ModelUse *use)
{
	CachedModel *cached = ModelUseModel(use);
	MemoryContext caller;
	TupleDesc	desc;
	Binding    *binding;

	Unbind(use);
	/* First the identifier: should the type change now, it is the old one, and the columns will be bound again. */
	use->type_entry = use->type == RECORDOID ? NULL : lookup_type_cache(use->type, TYPECACHE_TUPDESC);
	use->identifier = use->type_entry == NULL ? 0 : use->type_entry->tupDesc_identifier;
	desc = lookup_rowtype_tupdesc_copy(use->type, use->typmod);
	caller = MemoryContextSwitchTo(use->context);
	binding = BindingForRecord(desc, cached->model);
	use->desc = ColumnsToRead(desc, BindingLastColumn(binding));
	use->is_read = palloc0(use->desc->natts * sizeof(bool));
	BindingMarkColumns(binding, use->is_read);
	use->values = palloc(use->desc->natts * sizeof(Datum));
	use->nulls = palloc(use->desc->natts * sizeof(bool));
	MemoryContextSwitchTo(caller);
	use->binding = binding;
}

void
ModelUseBindJson(ModelUse *use)
{
	CachedModel *cached = ModelUseModel(use);
	MemoryContext caller;

	Unbind(use);
	caller = MemoryContextSwitchTo(use->context);
	use->binding = BindingForJson(cached->model);
	MemoryContextSwitchTo(caller);
}
