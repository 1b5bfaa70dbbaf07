/*
 * model_store_lock.c - taking a model before it is changed.
 *
 * Two locks, to the end of the transaction, are named by the model's name,
 * so two sessions that create the same model meet there too.  They are advisory
 * locks of classes that the SQL functions for advisory locks cannot reach.
 *
 *   training lock   held by a training from before its first row, and by whoever
 *                   drops the model or gives it a name or an owner.  Nobody
 *                   waits for it: a training may take hours.  A retraining that
 *                   commits on its way holds it for the session; view
 *                   moemlora.runs looks for it.
 *   change lock     held by all changes, and by a training only when it stores.
 *                   One waits for it, as for a row that another transaction has
 *                   changed.
 *
 * So versions can be promoted, rolled back and dropped, and rights be granted,
 * while a training runs.  Who takes both takes the training lock first.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "tcop/utility.h"
#include "utils/snapmgr.h"

#include "catalog.h"
#include "compat.h"

#define MAX_NAME_BYTES 255

/* Classes of advisory locks: pg_advisory_lock() and its kind use 1 and 2. */
#define TRAINING_LOCK 3
#define CHANGE_LOCK 4

static void
CheckName(const char *name)
{
	int			length = (int) strlen(name);

	if (length == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_NAME),
						errmsg("model name must not be empty")));
	if (length > MAX_NAME_BYTES)
		ereport(ERROR, (errcode(ERRCODE_NAME_TOO_LONG),
						errmsg("model name is too long"),
						errdetail("It has %d bytes, at most %d are allowed.", length, MAX_NAME_BYTES)));
}

static void
NameLock(LOCKTAG *tag, const char *name, uint16 lock_class)
{
	uint64		hash = hash_bytes_extended((const unsigned char *) name, (int) strlen(name), 0);

	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, (uint32) (hash >> 32), (uint32) hash, lock_class);
}

/* For the session, or to the end of the transaction. */
static void
LockForTraining(const char *name, bool is_session)
{
	LOCKTAG		tag;

	NameLock(&tag, name, TRAINING_LOCK);
	if (LockAcquire(&tag, ExclusiveLock, is_session, true) == LOCKACQUIRE_NOT_AVAIL)
		ereport(ERROR, (errcode(ERRCODE_LOCK_NOT_AVAILABLE),
						errmsg("model \"%s\" is being trained or changed by another session", name),
						errhint("Wait until that session has finished, or cancel it; moemlora.progress shows it.")));
}

static void
LockForChange(const char *name)
{
	LOCKTAG		tag;

	NameLock(&tag, name, CHANGE_LOCK);
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
}

/* Whether there is such a model now, whatever the transaction's snapshot sees. */
static bool
FindNow(const char *name, ModelRow *model)
{
	bool		is_there;

	PushActiveSnapshot(GetLatestSnapshot());
	is_there = ModelRowFind(name, GetActiveSnapshot(), model);
	PopActiveSnapshot();
	return is_there;
}

/* The same for one who means to change it, and must have the right to. */
static bool
FindToManage(const char *name, ModelRow *model)
{
	bool		is_there = FindNow(name, model);

	if (is_there)
		ModelAccessCheck(model->id, name, NameStr(model->owner), MODEL_MANAGE);
	return is_there;
}

/*
 * A transaction that keeps one snapshot could not write, at its end, over a
 * change that the snapshot does not see: it fails now.
 */
static void
CheckSnapshot(const char *name, bool is_there, ModelRow *model)
{
	ModelRow	seen;
	bool		is_seen;

	if (!IsolationUsesXactSnapshot())
		return;
	is_seen = ModelRowFind(name, GetTransactionSnapshot(), &seen);
	if (is_seen != is_there || (is_seen && !ItemPointerEquals(&seen.place, &model->place)))
		ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						errmsg("could not serialize access to model \"%s\" due to a concurrent change", name),
						errhint("Run the transaction again.")));
}

/*
 * Rights are checked before any lock too: nobody can keep a model of others
 * locked, or ask whether it is.
 */
static bool
Begin(const char *name, const char *function, ModelRow *model)
{
	PreventCommandIfReadOnly(function);
	PreventCommandDuringRecovery(function);
	PreventCommandIfParallelMode(function);
	return FindToManage(name, model);
}

/* With the locks taken. */
static bool
End(const char *name, ModelRow *model)
{
	bool		is_there = FindToManage(name, model);

	CheckSnapshot(name, is_there, model);
	return is_there;
}

/* Call before reading anything. */
void
ModelStoreBegin(const char *name, const char *function)
{
	ModelRow	model;

	CheckName(name);
	(void) Begin(name, function, &model);
	LockForTraining(name, false);
	/* A change beside it would make such a transaction fail at its end. */
	if (IsolationUsesXactSnapshot())
		LockForChange(name);
	(void) End(name, &model);
}

/* A lock for the session must not stay when the model turns out not to be there, or not to be the caller's any more. */
void
ModelStoreHold(const char *name, const char *function)
{
	ModelRow	model;

	CheckName(name);
	(void) Begin(name, function, &model);
	LockForTraining(name, true);
	PG_TRY();
	{
		(void) FindToManage(name, &model);
	}
	PG_CATCH();
	{
		ModelStoreRelease(name);
		PG_RE_THROW();
	}
	PG_END_TRY();
}

void
ModelStoreRelease(const char *name)
{
	LOCKTAG		tag;

	NameLock(&tag, name, TRAINING_LOCK);
	(void) LockRelease(&tag, ExclusiveLock, true);
}

/* The caller has begun the training. */
bool
ModelTakeToStore(const char *name, ModelRow *model)
{
	LockForChange(name);
	return FindToManage(name, model);
}

void
ModelTakeToChange(const char *name, const char *function, ModelRow *model)
{
	if (!Begin(name, function, model))
		ModelRowMissing(name);
	LockForChange(name);
	if (!End(name, model))
		ModelRowMissing(name);
}

void
ModelTakeWhole(const char *name, const char *function, ModelRow *model)
{
	if (!Begin(name, function, model))
		ModelRowMissing(name);
	LockForTraining(name, false);
	LockForChange(name);
	if (!End(name, model))
		ModelRowMissing(name);
}

static void
CheckNameIsFree(const char *name)
{
	ModelRow	model;

	if (FindNow(name, &model))
		ereport(ERROR, (errcode(ERRCODE_DUPLICATE_OBJECT),
						errmsg("model \"%s\" already exists", name)));
}

/* Looked up before any lock too: the name of a model of others cannot be kept locked. */
void
ModelTakeNewName(const char *name)
{
	CheckName(name);
	CheckNameIsFree(name);
	LockForTraining(name, false);
	LockForChange(name);
	CheckNameIsFree(name);
}
