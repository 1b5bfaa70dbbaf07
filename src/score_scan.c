/*
 * score_scan.c - the node that scores the rows of the plan below it in blocks.
 *
 * Its scan tuple is a row of that plan followed by a score for each call.  A
 * block of such rows is kept with no more columns than are returned; what the
 * features are made of is gone once they are copied.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "score_block.h"
#include "score_scan.h"

/* One call of moemlora_score(). */
typedef struct ScoreCall
{
	ScoreBlock *block;
	ExprState  *arguments[SCORE_ARGUMENTS];
	ExprContext *econtext;		/* of the row that is read */

	/* Features that are made of columns */
	int			n_parts;		/* 0: they come as a row */
	bool		are_below;		/* they are the first columns of the plan below, in order; then no more is here */
	ExprState **parts;			/* [n_parts] */
	Datum	   *values;			/* [n_parts] */
	bool	   *nulls;
} ScoreCall;

/* A column of the plan below that is returned. */
typedef struct ReturnedColumn
{
	int			number;			/* from 0 */
	bool		by_value;
	int16		length;
} ReturnedColumn;

typedef struct ScoreScanState
{
	CustomScanState css;		/* must be first */
	PlanState  *below;
	int			n_below;		/* columns */
	int			n_calls;
	ScoreCall  *calls;
	int			n_columns;		/* of those below, that are returned */
	ReturnedColumn *columns;

	/* The block */
	MemoryContext context;		/* of values that are references; reset with it */
	Size		empty_bytes;	/* that it takes without them */
	int			n_rows;
	int			next;			/* to be returned */
	int			held;			/* rows that there is room for */
	Datum	   *values;			/* [held, n_columns] */
	bool	   *nulls;
	bool		is_done;		/* no rows are left below */
} ScoreScanState;

/* --------------------------------------------------------------------- begin */

static void
CheckRights(Oid function)
{
	AclResult	result = object_aclcheck(ProcedureRelationId, function, GetUserId(), ACL_EXECUTE);

	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_FUNCTION, get_func_name(function));
	InvokeFunctionExecuteHook(function);
}

/* Describes the columns that features are made of; NULL: they come as a row. */
static TupleDesc
DescOf(const RowExpr *features, bool is_of_table)
{
	TupleDesc	desc;

	if (!IsA(features, RowExpr) || features->args == NIL || list_length(features->args) > MaxTupleAttributeNumber)
		return NULL;
	if (is_of_table)
		return lookup_rowtype_tupdesc_copy(features->row_typeid, -1);
	if (features->row_typeid != RECORDOID)
		return NULL;			/* such a type may change while rows are read */
	desc = ExecTypeFromExprList(features->args);
	ExecTypeSetColNames(desc, features->colnames);
	return BlessTupleDesc(desc);
}

static void
BeginFeatures(ScoreScanState *state, ScoreCall *call, RowExpr *features, bool is_of_table)
{
	ListCell   *cell;
	int			i = 0;

	call->n_parts = list_length(features->args);
	call->are_below = is_of_table;
	if (is_of_table)
		return;
	call->parts = palloc(call->n_parts * sizeof(ExprState *));
	call->values = palloc(call->n_parts * sizeof(Datum));
	call->nulls = palloc(call->n_parts * sizeof(bool));
	foreach(cell, features->args)
		call->parts[i++] = ExecInitExpr(lfirst(cell), &state->css.ss.ps);
}

static void
BeginCall(ScoreScanState *state, ScoreCall *call, Oid function, List *arguments, bool is_of_table)
{
	RowExpr    *features = list_nth(arguments, SCORE_FEATURES);
	TupleDesc	desc = DescOf(features, is_of_table);
	bool		is_value;
	int			i;

	CheckRights(function);
	if (!IsScoreFunction(function, &is_value))
		elog(ERROR, "function %u is not moemlora_score()", function);
	call->block = ScoreBlockCreate(state->css.ss.ps.state->es_query_cxt, is_value, arguments, desc);
	call->econtext = state->css.ss.ps.ps_ExprContext;
	for (i = 0; i < SCORE_ARGUMENTS; i++)
	{
		if (i != SCORE_FEATURES || desc == NULL)
			call->arguments[i] = ExecInitExpr(list_nth(arguments, i), &state->css.ss.ps);
	}
	if (desc != NULL)
		BeginFeatures(state, call, features, is_of_table);
}

/* Finds out which columns of the plan below are returned. */
static void
BeginColumns(ScoreScanState *state, List *targetlist)
{
	TupleDesc	desc = state->css.ss.ss_ScanTupleSlot->tts_tupleDescriptor;
	Bitmapset  *returned = NULL;
	int			i;

	pull_varattnos((Node *) targetlist, INDEX_VAR, &returned);
	state->columns = palloc(state->n_below * sizeof(ReturnedColumn));
	for (i = 0; i < state->n_below; i++)
	{
		ReturnedColumn *column = &state->columns[state->n_columns];

		if (!bms_is_member(i + 1 - FirstLowInvalidHeapAttributeNumber, returned))
			continue;
		column->number = i;
		column->by_value = TupleDescAttr(desc, i)->attbyval;
		column->length = TupleDescAttr(desc, i)->attlen;
		state->n_columns++;
	}
}

static void
BeginScan(CustomScanState *css, EState *estate, int eflags)
{
	ScoreScanState *state = (ScoreScanState *) css;
	CustomScan *plan = castNode(CustomScan, css->ss.ps.plan);
	List	   *arguments = plan->custom_exprs;
	int			i;

	state->below = ExecInitNode(linitial(plan->custom_plans), estate, eflags & ~(EXEC_FLAG_BACKWARD | EXEC_FLAG_MARK));
	css->custom_ps = list_make1(state->below);
	state->n_calls = list_length(arguments) / SCORE_ARGUMENTS;
	state->n_below = list_length(plan->custom_scan_tlist) - state->n_calls;
	state->calls = palloc0(state->n_calls * sizeof(ScoreCall));
	for (i = 0; i < state->n_calls; i++)
	{
		TargetEntry *entry = list_nth(plan->custom_scan_tlist, state->n_below + i);

		BeginCall(state, &state->calls[i], castNode(FuncExpr, entry->expr)->funcid,
				  list_copy_tail(arguments, i * SCORE_ARGUMENTS), intVal(list_nth(plan->custom_private, i)) != 0);
	}
	BeginColumns(state, plan->scan.plan.targetlist);
	state->context = AllocSetContextCreate(estate->es_query_cxt, "moemlora score rows", ALLOCSET_ROWS_SIZES);
	state->empty_bytes = MemoryContextMemAllocated(state->context, false);
}

/* ---------------------------------------------------------------------- read */

static bool
GetArgument(void *rows, ScoreArgument argument, int place pg_attribute_unused(), Datum *value)
{
	ScoreCall  *call = rows;
	bool		is_null;

	*value = ExecEvalExpr(call->arguments[argument], call->econtext, &is_null);
	return !is_null;
}

/* Reads the arguments of a call for the row that is shown. */
static void
ReadCall(ScoreScanState *state, ScoreCall *call)
{
	TupleTableSlot *row = state->css.ss.ss_ScanTupleSlot;
	int			i;

	if (call->n_parts == 0)
		ScoreBlockRead(call->block, GetArgument, call, state->n_rows);
	else if (call->are_below)
		ScoreBlockReadColumns(call->block, row->tts_values, row->tts_isnull, GetArgument, call, state->n_rows);
	else
	{
		for (i = 0; i < call->n_parts; i++)
			call->values[i] = ExecEvalExpr(call->parts[i], call->econtext, &call->nulls[i]);
		ScoreBlockReadColumns(call->block, call->values, call->nulls, GetArgument, call, state->n_rows);
	}
}

/* Makes room for a row more. */
static void
GrowRows(ScoreScanState *state)
{
	int			held = Max(2 * state->held, FIRST_BLOCK_ROWS);
	Size		n = (Size) held * Max(state->n_columns, 1);

	if (state->held == 0)
	{
		state->values = MemoryContextAllocHuge(state->css.ss.ps.state->es_query_cxt, n * sizeof(Datum));
		state->nulls = MemoryContextAllocHuge(state->css.ss.ps.state->es_query_cxt, n * sizeof(bool));
	}
	else
	{
		state->values = repalloc_huge(state->values, n * sizeof(Datum));
		state->nulls = repalloc_huge(state->nulls, n * sizeof(bool));
	}
	state->held = held;
}

/* Keeps the columns that are returned. */
static void
KeepReturned(ScoreScanState *state, const TupleTableSlot *row)
{
	MemoryContext caller = MemoryContextSwitchTo(state->context);
	Datum	   *values;
	bool	   *nulls;
	int			i;

	if (state->n_rows == state->held)
		GrowRows(state);
	values = &state->values[(Size) state->n_rows * state->n_columns];
	nulls = &state->nulls[(Size) state->n_rows * state->n_columns];
	for (i = 0; i < state->n_columns; i++)
	{
		const ReturnedColumn *column = &state->columns[i];
		Datum		value = row->tts_values[column->number];

		nulls[i] = row->tts_isnull[column->number];
		values[i] = nulls[i] || column->by_value ? value : datumCopy(value, false, column->length);
	}
	MemoryContextSwitchTo(caller);
}

/* Shows a row of the plan below to the arguments. */
static void
ShowRow(ScoreScanState *state, TupleTableSlot *row)
{
	TupleTableSlot *slot = state->css.ss.ss_ScanTupleSlot;

	slot_getallattrs(row);
	ExecClearTuple(slot);
	memcpy(slot->tts_values, row->tts_values, state->n_below * sizeof(Datum));
	memcpy(slot->tts_isnull, row->tts_isnull, state->n_below * sizeof(bool));
	memset(&slot->tts_isnull[state->n_below], true, state->n_calls * sizeof(bool));
	ExecStoreVirtualTuple(slot);
	state->css.ss.ps.ps_ExprContext->ecxt_scantuple = slot;
}

/* Reads a row into the block; false: there is none. */
static bool
ReadRow(ScoreScanState *state)
{
	ExprContext *econtext = state->css.ss.ps.ps_ExprContext;
	TupleTableSlot *row = ExecProcNode(state->below);
	MemoryContext caller;
	int			i;

	if (TupIsNull(row))
		return false;
	ResetExprContext(econtext);
	ShowRow(state, row);
	caller = MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
	for (i = 0; i < state->n_calls; i++)
		ReadCall(state, &state->calls[i]);
	MemoryContextSwitchTo(caller);
	KeepReturned(state, row);
	state->n_rows++;
	return true;
}

/* How many rows the next block should have. */
static int
NextRows(const ScoreScanState *state)
{
	int			most = 0;
	int			i;

	for (i = 0; i < state->n_calls; i++)
		most = Max(most, ScoreBlockNextRows(state->calls[i].block, state->n_rows));
	return most;
}

/* Bytes that the rows of the block take. */
static Size
BlockMemory(const ScoreScanState *state)
{
	Size		bytes = (Size) state->n_rows * state->n_columns * (sizeof(Datum) + sizeof(bool)) +
		MemoryContextMemAllocated(state->context, false) - state->empty_bytes;
	int			i;

	for (i = 0; i < state->n_calls; i++)
		bytes += ScoreBlockMemory(state->calls[i].block);
	return bytes;
}

static void
ForgetRows(ScoreScanState *state)
{
	int			i;

	MemoryContextReset(state->context);
	for (i = 0; i < state->n_calls; i++)
		ScoreBlockReset(state->calls[i].block);
	state->n_rows = 0;
	state->next = 0;
}

/* Reads and scores a block: at most so many rows that what is kept of them takes a quarter of work_mem. */
static void
ReadBlock(ScoreScanState *state)
{
	ExprContext *econtext = state->css.ss.ps.ps_ExprContext;
	Size		limit = (Size) work_mem * 1024 / 4;
	int			most_rows = NextRows(state);
	MemoryContext caller;
	int			i;

	ForgetRows(state);
	do
		state->is_done = !ReadRow(state);
	while (!state->is_done && state->n_rows < most_rows && BlockMemory(state) < limit);
	caller = MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
	for (i = 0; i < state->n_calls; i++)
		ScoreBlockFinish(state->calls[i].block);
	MemoryContextSwitchTo(caller);
}

/* -------------------------------------------------------------------- return */

/* Puts the next row with its scores into the scan slot. */
static void
TakeRow(ScoreScanState *state)
{
	TupleTableSlot *slot = state->css.ss.ss_ScanTupleSlot;
	Size		first = (Size) state->next * state->n_columns;
	int			i;

	ExecClearTuple(slot);
	memset(slot->tts_isnull, true, state->n_below * sizeof(bool));
	for (i = 0; i < state->n_columns; i++)
	{
		slot->tts_values[state->columns[i].number] = state->values[first + i];
		slot->tts_isnull[state->columns[i].number] = state->nulls[first + i];
	}
	for (i = 0; i < state->n_calls; i++)
		slot->tts_values[state->n_below + i] =
			ScoreBlockScore(state->calls[i].block, state->next, &slot->tts_isnull[state->n_below + i]);
	ExecStoreVirtualTuple(slot);
	state->next++;
}

static TupleTableSlot *
NextRow(CustomScanState *css)
{
	ScoreScanState *state = (ScoreScanState *) css;
	ExprContext *econtext = css->ss.ps.ps_ExprContext;

	if (state->next == state->n_rows && !state->is_done)
		ReadBlock(state);
	if (state->next == state->n_rows)
		return NULL;
	ResetExprContext(econtext);
	TakeRow(state);
	if (css->ss.ps.ps_ProjInfo == NULL)
		return css->ss.ss_ScanTupleSlot;
	econtext->ecxt_scantuple = css->ss.ss_ScanTupleSlot;
	return ExecProject(css->ss.ps.ps_ProjInfo);
}

static void
EndScan(CustomScanState *css)
{
	ExecEndNode(((ScoreScanState *) css)->below);
}

static void
RescanScan(CustomScanState *css)
{
	ScoreScanState *state = (ScoreScanState *) css;

	ForgetRows(state);
	state->is_done = false;
	if (css->ss.ps.chgParam != NULL)
		UpdateChangedParamSet(state->below, css->ss.ps.chgParam);
	if (state->below->chgParam == NULL) /* else it is rescanned when it is next asked for a row */
		ExecReScan(state->below);
}

/* ------------------------------------------------------------------- methods */

static const CustomExecMethods ExecMethods = {
	.CustomName = SCORE_SCAN_NAME,
	.BeginCustomScan = BeginScan,
	.ExecCustomScan = NextRow,
	.EndCustomScan = EndScan,
	.ReScanCustomScan = RescanScan,
};

Expr *
CallWithoutWindow(const WindowFunc *call)
{
	return (Expr *) makeFuncExpr(call->winfnoid, call->wintype, call->args, call->wincollid, call->inputcollid,
								 COERCE_EXPLICIT_CALL);
}

/*
 * Makes the calls of the scan tuple, so far window functions, as the planner had
 * to find them, plain ones: EXPLAIN shows them, and from 18 on it looks for their
 * window, which no longer is.  Nothing else reads them.  A plan must not change
 * once it is made, but there is no earlier place where it could, and this one does
 * no harm: what runs the plan again finds it done.
 */
static void
DropWindows(CustomScan *plan)
{
	MemoryContext caller = MemoryContextSwitchTo(GetMemoryChunkContext(plan));
	ListCell   *cell;

	foreach(cell, plan->custom_scan_tlist)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);
		WindowFunc *call = (WindowFunc *) entry->expr;

		if (IsA(call, WindowFunc))
			entry->expr = CallWithoutWindow(call);
	}
	MemoryContextSwitchTo(caller);
}

static Node *
CreateState(CustomScan *plan)
{
	ScoreScanState *state = palloc0(sizeof(ScoreScanState));

	DropWindows(plan);
	NodeSetTag(state, T_CustomScanState);
	state->css.methods = &ExecMethods;
	return (Node *) state;
}

const CustomScanMethods ScoreScanMethods = {
	.CustomName = SCORE_SCAN_NAME,
	.CreateCustomScanState = CreateState,
};

void
ScoreScanInit(void)
{
	RegisterCustomScanMethods(&ScoreScanMethods);
}
