/*
 * model_use.c - from a model's name and a row's type to a decoded model and
 * the columns that are its features: what a call site keeps from row to row.
 *
 * See model_use.h for what every row passes through.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "model_use.h"

void
ModelUsesInit(ModelUses *uses, MemoryContext context)
{
	int			i;

	memset(uses, 0, sizeof(*uses));
	uses->context = context;
	for (i = 0; i < MAX_MODEL_USES; i++)
		uses->uses[i].context = AllocSetContextCreate(context, "moemlora columns", ALLOCSET_SMALL_SIZES);
	uses->last = &uses->uses[0];
}

/* Forgets the columns. */
static void
Unbind(ModelUse *use)
{
	use->binding = NULL;
	MemoryContextReset(use->context);
}

ModelUse *
ModelUsesSearch(ModelUses *uses, const text *name, Oid type, int32 typmod)
{
	ModelUse   *use;
	int			i;

	for (i = 0; i < MAX_MODEL_USES; i++)
	{
		if (ModelUseIsFor(&uses->uses[i], name, type, typmod))
			return uses->last = &uses->uses[i];
	}
	use = &uses->uses[uses->next_victim];
	uses->next_victim = (uses->next_victim + 1) % MAX_MODEL_USES;
	Unbind(use);
	if (use->name != NULL)
		pfree(use->name);
	use->name = NULL;
	use->is_resolved = false;
	use->cached = NULL;
	use->name_length = VARSIZE_ANY_EXHDR(name);
	use->type = type;
	use->typmod = typmod;
	use->name = MemoryContextAlloc(uses->context, use->name_length + 1);
	memcpy(use->name, VARDATA_ANY(name), use->name_length);
	use->name[use->name_length] = '\0';
	return uses->last = use;
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
	use->moment.subtransaction = GetCurrentSubTransactionId();
	use->moment.xmax = snapshot->xmax;
	use->moment.xcnt = snapshot->xcnt;
	use->moment.subxcnt = snapshot->subxcnt;
	use->moment.curcid = snapshot->curcid;
	use->moment.user = GetUserId();
	use->is_resolved = true;
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
