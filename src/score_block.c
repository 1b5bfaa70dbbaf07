/*
 * score_block.c - rows that one call site of moemlora_score() scores together,
 * through matrix products.
 */
#include "postgres.h"

#include "fmgr.h"
#include "optimizer/optimizer.h"
#include "utils/datum.h"

#include "score_block.h"

/* Whether an argument is the same for all rows of a scan: it reads nothing of the row. */
static bool
IsStable(Node *argument)
{
	return !contain_var_clause(argument) && !contain_volatile_functions(argument);
}

ScoreBlock *
ScoreBlockCreate(MemoryContext context, bool is_value, List *arguments, TupleDesc desc)
{
	ScoreBlock *block = MemoryContextAlloc(context, sizeof(ScoreBlock));
	int			i;

	memset(block, 0, offsetof(ScoreBlock, kept));
	block->is_value = is_value;
	block->desc = desc;
	for (i = 0; i < SCORE_ARGUMENTS; i++)
		block->is_stable[i] = IsStable(list_nth(arguments, i));
	block->context = AllocSetContextCreate(context, "moemlora score block", ALLOCSET_ROWS_SIZES);
	block->empty_bytes = MemoryContextMemAllocated(block->context, false);
	block->model_context = AllocSetContextCreate(context, "moemlora score model", ALLOCSET_SMALL_SIZES);
	ModelUsesInit(&block->uses, context);
	return block;
}

void
ScoreBlockReset(ScoreBlock *block)
{
	MemoryContextReset(block->context);
	MemoryContextReset(block->model_context);
	block->n_kept = 0;
	block->model_bytes = 0;
}

/* ------------------------------------------------------------------- scoring */

/* Gives a row its values, if it did not come with them: good for one row. */
static inline void
TakeValues(ModelUse *use, KeptRow *kept)
{
	if (kept->tuple == NULL)
		return;
	ModelUseDeform(use, kept->tuple);
	kept->values = use->values;
	kept->nulls = use->nulls;
}

/* Runs the casts that the features need, now that anything may run. */
static void
RunCasts(ScoreBlock *block)
{
	ModelUse   *use = block->use;
	MemoryContext caller = MemoryContextSwitchTo(block->context);
	int			i;

	for (i = 0; i < block->n_kept && BindingHasCasts(use->binding); i++)
	{
		KeptRow    *kept = &block->kept[i];

		TakeValues(use, kept);
		BindingBeginRow(use->binding, kept->values, kept->nulls);
		kept->casts = BindingKeepCasts(use->binding, kept->nulls);
	}
	MemoryContextSwitchTo(caller);
}

/* Puts a row into the scorer. */
static inline void
EncodeRow(ModelUse *use, CachedModel *cached, KeptRow *kept)
{
	mml_rows   *rows = mml_scorer_rows(cached->scorer);

	TakeValues(use, kept);
	BindingBeginKeptRow(use->binding, kept->casts);
	BridgeCheck(cached->host, mml_rows_begin(rows));
	BindingPutValues(use->binding, cached->host, rows, kept->values, kept->nulls, 0);
	BridgeCheck(cached->host, mml_rows_end_scoring(rows, kept->domain, kept->domain_length));
}

/* Scores the rows in the scorer, which are those of `kept`. */
static void
ScoreEncoded(CachedModel *cached, const KeptRow *kept, int n, float *scores)
{
	float		probabilities[MML_SCORER_ROWS];
	int			i;

	BridgeCheck(cached->host, mml_score(cached->scorer, probabilities));
	for (i = 0; i < n; i++)
		scores[kept[i].place] = probabilities[i];
}

/* Scores the rows kept.  Nothing here may run code of others. */
static void
ScoreKept(ScoreBlock *block)
{
	CachedModel *cached = ModelUseModel(block->use);
	mml_rows   *rows;
	int			first = 0;		/* of those in the scorer */
	int			i;

	ModelCacheWiden(cached);
	block->good_rows = (int) mml_scorer_capacity(cached->scorer);
	rows = mml_scorer_rows(cached->scorer);
	mml_rows_reset(rows);		/* an error may have left some */
	for (i = 0; i < block->n_kept; i++)
	{
		CHECK_FOR_INTERRUPTS();
		EncodeRow(block->use, cached, &block->kept[i]);
		if (i < block->n_kept - 1 && !mml_rows_full(rows))
			continue;
		ScoreEncoded(cached, &block->kept[first], i + 1 - first, block->scores);
		first = i + 1;
	}
}

void
ScoreBlockFinish(ScoreBlock *block)
{
	if (block->n_kept == 0)
		return;
	RunCasts(block);
	ScoreKept(block);
	MemoryContextReset(block->model_context);
	block->n_kept = 0;
}

/* ------------------------------------------------------------------- reading */

/* Keeps the domain of a row.  No known domain is as long as what is cut off here. */
static void
KeepDomain(ScoreBlock *block, KeptRow *kept, Datum value)
{
	text	   *domain = DatumGetTextPP(value);

	kept->domain_length = Min(VARSIZE_ANY_EXHDR(domain), MML_MAX_NAME + 1);
	kept->domain = MemoryContextAlloc(block->context, kept->domain_length + 1);
	memcpy(kept->domain, VARDATA_ANY(domain), kept->domain_length);
}

/*
 * The first row kept says which model the others are for, and of which type they
 * are.  The model is held until they are scored: a value may be gone by then, and
 * what is evaluated before that may need the cache.
 */
static void
BeginModel(ScoreBlock *block, Datum model, const KeptRow *kept)
{
	if (block->is_value)
		block->use = ModelUsesFindValue(&block->uses, model, kept->type, kept->typmod);
	else
	{
		block->use = ModelUsesFind(&block->uses, DatumGetTextPP(model), kept->type, kept->typmod);
		ModelUseResolve(block->use);
	}
	if (!ModelUseIsBound(block->use))
		ModelUseBindColumns(block->use);
	if (block->desc != NULL && BindingLastColumn(block->use->binding) > block->desc->natts)
		elog(ERROR, "rows of type %u came with %d columns", kept->type, block->desc->natts);
	ModelCacheHold(ModelUseModel(block->use), block->model_context);
}

/* Whether the model of another row is that of the rows kept, as far as is known at once. */
static bool
IsSameModel(const ScoreBlock *block, Datum model)
{
	if (block->is_value)
		return ModelUseIsForValue(&block->uses, block->use, model);
	return ModelUseIsNamed(block->use, DatumGetTextPP(model));
}

/* Whether it is of the same type as the rows kept. */
static bool
IsSameType(const ModelUse *use, const KeptRow *kept)
{
	return use->type == kept->type && use->typmod == kept->typmod && ModelUseIsBound(use);
}

/* Makes the row, read but not counted yet, the first of another model or type. */
static void
BeginRow(ScoreBlock *block, const KeptRow *kept, Datum model)
{
	KeptRow		row = *kept;

	ScoreBlockFinish(block);
	block->kept[0] = row;
	BeginModel(block, model, &row);
}

/*
 * Reads the other arguments of a row and keeps it, unless one is NULL.  What is
 * the same for all rows is read of the first.  The model comes last: it is used as
 * it is.
 */
static void
KeepRow(ScoreBlock *block, ScoreArgumentGetter get, void *rows, int place)
{
	KeptRow    *kept = &block->kept[block->n_kept];
	bool		is_first = block->n_kept == 0;
	bool		is_other;
	Datum		value;

	kept->place = place;
	if (is_first || !block->is_stable[SCORE_DOMAIN])
	{
		if (!get(rows, SCORE_DOMAIN, place, &value))
			return;
		KeepDomain(block, kept, value);
	}
	else
	{
		kept->domain = block->kept[0].domain;
		kept->domain_length = block->kept[0].domain_length;
	}
	is_other = is_first || !IsSameType(block->use, kept);
	if (is_other || !block->is_stable[SCORE_MODEL])
	{
		if (!get(rows, SCORE_MODEL, place, &value))
			return;
		if (block->is_value && !block->is_stable[SCORE_MODEL] && !VARATT_IS_EXTERNAL(DatumGetPointer(value)))
			block->model_bytes += VARSIZE_ANY(DatumGetPointer(value));
		if (is_other || !IsSameModel(block, value))
			BeginRow(block, kept, value);
	}
	block->n_kept++;
}

void
ScoreBlockRead(ScoreBlock *block, ScoreArgumentGetter get, void *rows, int place)
{
	KeptRow    *kept = &block->kept[block->n_kept];
	Datum		value;
	MemoryContext caller;

	block->scores[place] = NAN;
	if (!get(rows, SCORE_FEATURES, place, &value))
		return;
	caller = MemoryContextSwitchTo(block->context);
	kept->tuple = DatumGetHeapTupleHeaderCopy(value);
	MemoryContextSwitchTo(caller);
	kept->type = HeapTupleHeaderGetTypeId(kept->tuple);
	kept->typmod = RowTypmod(kept->tuple, kept->type);
	KeepRow(block, get, rows, place);
}

/*
 * Copies the columns of a row: those that the model reads, if it is known to be
 * that of the rows before.
 */
static void
KeepColumns(ScoreBlock *block, KeptRow *kept, const Datum *values, const bool *nulls)
{
	TupleDesc	desc = block->desc;
	const bool *is_read = block->n_kept > 0 && block->is_stable[SCORE_MODEL] ? block->use->is_read : NULL;
	int			n = is_read == NULL ? desc->natts : Min(block->use->desc->natts, desc->natts);
	MemoryContext caller = MemoryContextSwitchTo(block->context);
	int			i;

	kept->values = palloc(desc->natts * (sizeof(Datum) + sizeof(bool)));
	kept->nulls = (bool *) (kept->values + desc->natts);
	for (i = 0; i < n; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, i);

		if (is_read != NULL && !is_read[i])
			continue;
		kept->nulls[i] = nulls[i];
		kept->values[i] = nulls[i] || column->attbyval ? values[i] : datumCopy(values[i], false, column->attlen);
	}
	MemoryContextSwitchTo(caller);
}

void
ScoreBlockReadColumns(ScoreBlock *block, const Datum *values, const bool *nulls,
					  ScoreArgumentGetter get, void *rows, int place)
{
	KeptRow    *kept = &block->kept[block->n_kept];

	block->scores[place] = NAN;
	kept->tuple = NULL;
	kept->type = block->desc->tdtypeid;
	kept->typmod = block->desc->tdtypmod;
	KeepColumns(block, kept, values, nulls);
	KeepRow(block, get, rows, place);
}
