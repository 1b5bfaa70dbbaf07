/*
 * sql_score.c - moemlora_score() as a window function: the first row of a block
 * reads ahead in its partition and scores the rows to come; for those the scores
 * then lie ready.
 *
 * Most plans have no window for it, but the node of score_scan.c.
 */
#include "postgres.h"

#include "fmgr.h"
#include "nodes/primnodes.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "windowapi.h"

#include "score_block.h"
#include "score_scan.h"

PG_FUNCTION_INFO_V1(moemlora_score);
PG_FUNCTION_INFO_V1(moemlora_score_value);
PG_FUNCTION_INFO_V1(moemlora_score_support);

/* In memory of the partition: scores are there of rows start .. start + n_rows - 1. */
typedef struct Extent
{
	int64		start;
	int			n_rows;
} Extent;

/* In fn_extra. */
typedef struct ScoreState
{
	ScoreBlock *block;
	MemoryContext row_context;	/* reset at every row */
} ScoreState;

/* Where the block reads. */
typedef struct WindowRows
{
	WindowObject window;
	bool		is_out;			/* the row asked for is behind the partition's last */
} WindowRows;

static ScoreState *
StateGet(FunctionCallInfo fcinfo, bool is_value)
{
	ScoreState *state = fcinfo->flinfo->fn_extra;
	MemoryContext context = fcinfo->flinfo->fn_mcxt;

	if (likely(state != NULL))
		return state;
	state = MemoryContextAlloc(context, sizeof(ScoreState));
	state->block = ScoreBlockCreate(context, is_value, ((WindowFunc *) fcinfo->flinfo->fn_expr)->args, NULL);
	state->row_context = AllocSetContextCreate(context, "moemlora score row", ALLOCSET_SMALL_SIZES);
	fcinfo->flinfo->fn_extra = state;
	return state;
}

static bool
GetArgument(void *rows, ScoreArgument argument, int place, Datum *value)
{
	WindowRows *from = rows;
	bool		is_null;

	*value = WinGetFuncArgInPartition(from->window, argument, place, WINDOW_SEEK_CURRENT, false, &is_null, &from->is_out);
	return !is_null;
}

/*
 * Reads and scores rows from the current one on: at most so many that their
 * copies, and so the rows that the server holds for us, take a quarter of
 * work_mem.  Rows that it has once written to disk it never drops before the
 * partition ends.
 */
static void
MakeBlock(ScoreState *state, WindowObject window, Extent *extent)
{
	Size		limit = (Size) work_mem * 1024 / 4;
	int			most_rows = ScoreBlockNextRows(state->block, extent->n_rows);
	MemoryContext caller = MemoryContextSwitchTo(state->row_context);
	WindowRows	rows = {window, false};
	int			n_rows = 0;

	ScoreBlockReset(state->block);
	do
	{
		MemoryContextReset(state->row_context);
		ScoreBlockRead(state->block, GetArgument, &rows, n_rows);
		if (rows.is_out)
			break;
		n_rows++;
	} while (n_rows < most_rows && ScoreBlockMemory(state->block) < limit);
	ScoreBlockFinish(state->block);
	MemoryContextSwitchTo(caller);
	extent->start = WinGetCurrentPosition(window);
	extent->n_rows = n_rows;
	WinSetMarkPosition(window, extent->start + n_rows - 1);
}

static Datum
ScoreRow(FunctionCallInfo fcinfo, bool is_value)
{
	WindowObject window = PG_WINDOW_OBJECT();
	ScoreState *state = StateGet(fcinfo, is_value);
	Extent	   *extent = WinGetPartitionLocalMemory(window, sizeof(Extent));
	int64		place = WinGetCurrentPosition(window) - extent->start;
	Datum		score;

	if (place >= extent->n_rows)
	{
		MakeBlock(state, window, extent);
		place = 0;
	}
	score = ScoreBlockScore(state->block, (int) place, &fcinfo->isnull);
	return score;
}

/* moemlora_score(model text, domain text, features record) OVER (...) */
Datum
moemlora_score(PG_FUNCTION_ARGS)
{
	return ScoreRow(fcinfo, false);
}

/* moemlora_score(model bytea, domain text, features record) OVER (...) */
Datum
moemlora_score_value(PG_FUNCTION_ARGS)
{
	return ScoreRow(fcinfo, true);
}

/* moemlora_score_support(internal): has nothing to say.  That it is asked loads the library while a query is planned. */
Datum
moemlora_score_support(PG_FUNCTION_ARGS)
{
	(void) fcinfo;
	PG_RETURN_POINTER(NULL);
}

/* By addresses: names and schemas may be others. */
bool
IsScoreFunction(Oid function, bool *is_value)
{
	Oid			support = get_func_support(function);
	FmgrInfo	info;

	if (!OidIsValid(support))
		return false;
	fmgr_info(support, &info);
	if (info.fn_addr != moemlora_score_support)
		return false;
	fmgr_info(function, &info);
	*is_value = info.fn_addr == moemlora_score_value;
	return *is_value || info.fn_addr == moemlora_score;
}
