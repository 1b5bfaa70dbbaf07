/*
 * model_use.h - private to model_use.c and the files that score rows: what a
 * call site finds out about its model and its rows, and keeps for its next call.
 *
 * None of it may be older than the statement: PL/pgSQL keeps a function's
 * fn_extra over the statements of a transaction.  So the version is looked up
 * again whenever snapshot or role is another one; the model whenever the cache
 * has thrown models out; the columns whenever the row's type is another one.
 *
 * A model that is a value is known by its digest.  To tell that of one in a
 * toast table takes a look into the table: so within a Moment its pointer tells
 * that it is the same as before.
 *
 * What every row passes through is here, so that it can be inlined.
 */
#ifndef MOEMLORA_MODEL_USE_H
#define MOEMLORA_MODEL_USE_H

#include "access/htup_details.h"	/* for HeapTupleHeader */
#include "access/xact.h"		/* for GetCurrentSubTransactionId */
#include "miscadmin.h"			/* for GetUserId */
#include "utils/snapmgr.h"		/* for GetActiveSnapshot */
#include "utils/typcache.h"		/* for assign_record_type_identifier */

#include "compat.h"
#include "moemlora.h"

/* Models, or row types, that one call site may use in turn without looking anything up. */
#define MAX_MODEL_USES 64

/*
 * What must be the same for a name to mean the same version, and a role to have the same rights.  A snapshot does
 * not tell whether a subtransaction of our own was rolled back.
 */
typedef struct Moment
{
	SubTransactionId subtransaction;
	TransactionId xmax;
	uint32		xcnt;
	int32		subxcnt;
	CommandId	curcid;
	Oid			user;
} Moment;

/* One model with one type of rows. */
typedef struct ModelUse
{
	/* What it is for */
	char	   *name;			/* of the model; NULL: it is a value */
	Size		name_length;
	Oid			type;			/* of the row; JSONBOID */
	int32		typmod;

	/* The model that is a value */
	mml_digest	digest;
	bool		has_pointer;	/* of a value in a toast table, met in ModelUses.moment */
	struct varatt_external pointer;
	Datum		value;			/* of the present call */

	/* The stored model */
	bool		is_resolved;
	Moment		moment;
	ModelVersion version;

	/* Either, decoded */
	CachedModel *cached;		/* NULL: not fetched */
	uint64		generation;		/* of the cache, then */

	/* The row */
	MemoryContext context;		/* of all below */
	Binding    *binding;		/* NULL: not made */
	TypeCacheEntry *type_entry; /* NULL: a record */
	uint64		identifier;		/* of the type's definition, then */
	TupleDesc	desc;
	bool	   *is_read;		/* [desc->natts] by the binding; so below */
	Datum	   *values;
	bool	   *nulls;
} ModelUse;

/* All of a call site. */
typedef struct ModelUses
{
	MemoryContext context;
	ModelUse   *last;			/* NULL: there are none yet */
	Moment		moment;			/* of the pointers that they have */
	int			next_victim;
	int			n_uses;
	ModelUse   *uses[MAX_MODEL_USES];
} ModelUses;

/* Empties it; everything that it will hold lives in `context`. */
extern void ModelUsesInit(ModelUses *uses, MemoryContext context);

/* The parts of the functions below that few rows need. */
extern ModelUse *ModelUsesSearch(ModelUses *uses, const text *name, Oid type, int32 typmod);
extern ModelUse *ModelUsesSearchValue(ModelUses *uses, Datum value, Oid type, int32 typmod);
extern void ModelUseResolveAnew(ModelUse *use, Snapshot snapshot);
extern void ModelUseFetch(ModelUse *use);
extern void ModelUseBindColumns(ModelUse *use);

/* Finds the features among the keys of jsonb. */
extern void ModelUseBindJson(ModelUse *use);

static inline Snapshot
PresentSnapshot(void)
{
	if (!ActiveSnapshotSet())
		elog(ERROR, "a moemlora function was called without a snapshot");
	return GetActiveSnapshot();
}

static inline bool
MomentIsNow(const Moment *moment, Snapshot snapshot)
{
	return moment->subtransaction == GetCurrentSubTransactionId() && moment->xmax == snapshot->xmax &&
		moment->xcnt == snapshot->xcnt && moment->subxcnt == snapshot->subxcnt &&
		moment->curcid == snapshot->curcid && moment->user == GetUserId();
}

/* ------------------------------------------------------------ models by name */

static inline bool
ModelUseIsNamed(const ModelUse *use, const text *name)
{
	return use->name != NULL && use->name_length == VARSIZE_ANY_EXHDR(name) &&
		memcmp(use->name, VARDATA_ANY(name), use->name_length) == 0;
}

static inline bool
ModelUseIsFor(const ModelUse *use, const text *name, Oid type, int32 typmod)
{
	return use->type == type && use->typmod == typmod && ModelUseIsNamed(use, name);
}

/* The one for this model and row type, perhaps taken from another. */
static inline ModelUse *
ModelUsesFind(ModelUses *uses, const text *name, Oid type, int32 typmod)
{
	if (likely(uses->last != NULL && ModelUseIsFor(uses->last, name, type, typmod)))
		return uses->last;
	return ModelUsesSearch(uses, name, type, typmod);
}

/* Finds the version that the name means in this statement. */
static inline void
ModelUseResolve(ModelUse *use)
{
	Snapshot	snapshot = PresentSnapshot();

	if (unlikely(!use->is_resolved || !MomentIsNow(&use->moment, snapshot)))
		ModelUseResolveAnew(use, snapshot);
}

/* ------------------------------------------------------------- models as values */

/* Whether it is for a value that lies at this place of a toast table; else it may be for its like. */
static inline bool
ModelUseIsAt(const ModelUse *use, Datum value)
{
	return use->has_pointer && memcmp(&use->pointer, VARDATA_EXTERNAL(DatumGetPointer(value)), sizeof(use->pointer)) == 0;
}

/* Whether it is for a value that lies in memory; else it may be for what that is when decompressed. */
static inline bool
ModelUseHas(const ModelUse *use, Datum value)
{
	return use->name == NULL && VARATT_IS_4B_U(DatumGetPointer(value)) &&
		mml_digest_is_of(&use->digest, VARDATA(DatumGetPointer(value)), VARSIZE(DatumGetPointer(value)) - VARHDRSZ);
}

/* Whether it is known at once to be for the value. */
static inline bool
ModelUseIsForValue(const ModelUses *uses, const ModelUse *use, Datum value)
{
	if (VARATT_IS_EXTERNAL_ONDISK(DatumGetPointer(value)))
		return ModelUseIsAt(use, value) && MomentIsNow(&uses->moment, PresentSnapshot());
	return ModelUseHas(use, value);
}

/* The one for this value and row type, perhaps taken from another. The value must stay until the model is fetched. */
static inline ModelUse *
ModelUsesFindValue(ModelUses *uses, Datum value, Oid type, int32 typmod)
{
	ModelUse   *last = uses->last;

	if (likely(last != NULL && last->type == type && last->typmod == typmod && ModelUseIsForValue(uses, last, value)))
	{
		last->value = value;
		return last;
	}
	return ModelUsesSearchValue(uses, value, type, typmod);
}

/* ----------------------------------------------------------------- model and row */

/* The decoded model; good until anything else may ask for a model. */
static inline CachedModel *
ModelUseModel(ModelUse *use)
{
	if (unlikely(use->cached == NULL || use->generation != ModelCacheGeneration()))
		ModelUseFetch(use);
	return use->cached;
}

/* The type of a row, as ModelUsesFind() wants it. */
static inline int32
RowTypmod(HeapTupleHeader row, Oid type)
{
	return type == RECORDOID ? HeapTupleHeaderGetTypMod(row) : -1;
}

/*
 * Whether the columns are bound as the row's type is defined now.  The
 * definition of a named type may change, that of a record never does.
 */
static inline bool
ModelUseIsBound(const ModelUse *use)
{
	return use->binding != NULL && (use->type_entry == NULL ||
									likely(use->type_entry->tupDesc_identifier == use->identifier) ||
									assign_record_type_identifier(use->type, use->typmod) == use->identifier);
}

/* Reads the row's columns into values and nulls. */
static inline void
ModelUseDeform(ModelUse *use, HeapTupleHeader row)
{
	HeapTupleData tuple;

	tuple.t_len = HeapTupleHeaderGetDatumLength(row);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	tuple.t_data = row;
	heap_deform_tuple(&tuple, use->desc, use->values, use->nulls);
}

#endif							/* MOEMLORA_MODEL_USE_H */
