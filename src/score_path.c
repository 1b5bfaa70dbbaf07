/*
 * score_path.c - plans that score without a window: the planner's side.
 *
 * The hook is called when the paths of all windows of a query are made.  By then
 * the library is loaded, as their costs have asked moemlora_score()'s support
 * function.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/planner.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/rel.h"

#include "compat.h"
#include "moemlora.h"
#include "score_scan.h"

static create_upper_paths_hook_type NextHook;

/* ---------------------------------------------------------------------- plan */

/* Whether an expression, or one in a list, needs a whole row other than as features of moemlora_score(). */
static bool
NeedsRow(Node *node, void *row)
{
	if (node == NULL)
		return false;
	if (IsA(node, WindowFunc))
	{
		List	   *arguments = ((WindowFunc *) node)->args;

		return NeedsRow(linitial(arguments), row) || NeedsRow(lsecond(arguments), row) ||
			(!equal(lthird(arguments), row) && NeedsRow(lthird(arguments), row));
	}
	return equal(node, row) || expression_tree_walker(node, NeedsRow, row);
}

/* Whether a plan reads a table and returns nothing but columns of its rows, or whole rows. */
static bool
ReturnsColumns(const Plan *plan, Index table)
{
	ListCell   *cell;

	if (!IsA(plan, SeqScan) && !IsA(plan, IndexScan) && !IsA(plan, BitmapHeapScan) && !IsA(plan, SampleScan))
		return false;
	if (((const Scan *) plan)->scanrelid != table)
		return false;
	foreach(cell, plan->targetlist)
	{
		const Var  *var = (const Var *) lfirst_node(TargetEntry, cell)->expr;

		if (!IsA(var, Var) || var->varattno < 0)
			return false;
	}
	return true;
}

/* All columns of a table as a plan returns them, of dropped ones a NULL. */
static List *
ColumnsOf(Oid table, int number)
{
	Relation	relation = table_open(table, NoLock);
	TupleDesc	desc = RelationGetDescr(relation);
	List	   *columns = NIL;
	int			i;

	for (i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, i);
		Expr	   *value = column->attisdropped ? (Expr *) makeNullConst(INT4OID, -1, InvalidOid) :
			(Expr *) makeVar(number, i + 1, column->atttypid, column->atttypmod, column->attcollation, 0);

		columns = lappend(columns, makeTargetEntry(value, i + 1, NULL, false));
	}
	table_close(relation, NoLock);
	return columns;
}

/*
 * Where features are a whole row of a table that the plan below reads, and nothing
 * else needs that row, the plan is made to return all columns instead, as they lie
 * in the table: to make a row of them would take longer than to read them.
 * Returns the row's expression, made of columns; NULL: it stays a row.
 */
static RowExpr *
TakeColumns(PlannerInfo *root, Plan *below, const Var *row, List *tlist)
{
	RowExpr    *result;
	ListCell   *cell;

	if (row == NULL || !ReturnsColumns(below, row->varno) || NeedsRow((Node *) tlist, unconstify(Var *, row)))
		return NULL;
	below->targetlist = ColumnsOf(planner_rt_fetch(row->varno, root)->relid, row->varno);
	result = makeNode(RowExpr);
	foreach(cell, below->targetlist)
		result->args = lappend(result->args, copyObject(lfirst_node(TargetEntry, cell)->expr));
	result->row_typeid = row->vartype;
	result->row_format = COERCE_IMPLICIT_CAST;
	result->location = -1;
	return result;
}

/* The first features of calls that are a whole row; NULL: there are none. */
static Var *
RowOf(List *calls)
{
	ListCell   *cell;

	foreach(cell, calls)
	{
		Var		   *features = lthird(lfirst_node(WindowFunc, cell)->args);

		if (IsA(features, Var) && features->varattno == InvalidAttrNumber)
			return features;
	}
	return NULL;
}

static Plan *
PlanScore(PlannerInfo *root, RelOptInfo *rel, CustomPath *path, List *tlist, List *clauses, List *plans)
{
	CustomScan *scan = makeNode(CustomScan);
	Plan	   *below = linitial(plans);
	Var		   *row = RowOf(path->custom_private);
	RowExpr    *columns = TakeColumns(root, below, row, tlist);
	List	   *tuple = copyObject(below->targetlist);
	ListCell   *cell;

	(void) rel;
	(void) clauses;				/* there are none above a scan */
	foreach(cell, path->custom_private)
	{
		WindowFunc *call = copyObject(lfirst_node(WindowFunc, cell));
		List	   *arguments = copyObject(call->args);
		bool		is_of_table = columns != NULL && equal(lthird(arguments), row);

		if (is_of_table)
			lthird(arguments) = copyObject(columns);
		tuple = lappend(tuple, makeTargetEntry((Expr *) call, list_length(tuple) + 1, NULL, false));
		scan->custom_exprs = list_concat(scan->custom_exprs, arguments);
		scan->custom_private = lappend(scan->custom_private, makeInteger(is_of_table));
	}
	scan->scan.plan.targetlist = tlist;
	scan->custom_scan_tlist = tuple;
	scan->custom_plans = plans;
	scan->flags = path->flags;
	scan->methods = &ScoreScanMethods;
	return &scan->scan.plan;
}

static const CustomPathMethods PathMethods = {
	.CustomName = SCORE_SCAN_NAME,
	.PlanCustomPath = PlanScore,
};

/* --------------------------------------------------------------------- calls */

typedef struct CallSearch
{
	List	   *calls;			/* found: of WindowFunc *, all different */
	bool		has_others;		/* window functions that we leave to a window */
} CallSearch;

static bool
SearchCalls(Node *node, void *context)
{
	CallSearch *search = context;
	bool		is_value;

	if (node == NULL)
		return false;
	if (!IsA(node, WindowFunc))
		return expression_tree_walker(node, SearchCalls, context);
	if (!IsScoreFunction(((WindowFunc *) node)->winfnoid, &is_value))
		search->has_others = true;
	if (list_member(search->calls, node))
		search->has_others |= contain_volatile_functions(node); /* each is to have scores of its own */
	else
		search->calls = lappend(search->calls, node);
	return false;
}

/*
 * The calls of moemlora_score() that a path computes; NIL: there are none, or
 * there are other window functions, too, or a frame that needs to be looked at.
 */
static List *
CallsOf(const Path *path)
{
	const WindowAggPath *window = (const WindowAggPath *) path;
	CallSearch	search = {0};

	if (!IsA(path, WindowAggPath) || WindowPathHasQual(window) ||
		window->winclause->startOffset != NULL || window->winclause->endOffset != NULL ||
		contain_windowfuncs((Node *) window->subpath->pathtarget->exprs))
		return NIL;
	SearchCalls((Node *) path->pathtarget->exprs, &search);
	return search.has_others ? NIL : search.calls;
}

/* Makes the calls in an expression ordinary ones: no worker may have a window function. */
static Node *
DropWindows(Node *node, void *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, WindowFunc))
		return (Node *) CallWithoutWindow((WindowFunc *) node);
	return expression_tree_mutator(node, DropWindows, context);
}

/* Whether workers may evaluate all that a path returns, of whose window functions all are ours. */
static bool
IsParallelSafe(PlannerInfo *root, const PathTarget *target)
{
	return is_parallel_safe(root, DropWindows((Node *) target->exprs, NULL));
}

/* --------------------------------------------------------------------- paths */

/* One that scores the rows of `below`; it costs as much more than that as the window did. */
static Path *
MakePath(const WindowAggPath *window, RelOptInfo *rel, Path *below, List *calls)
{
	CustomPath *path = makeNode(CustomPath);
	Cost		of_window = window->path.total_cost - window->subpath->total_cost;

	path->path.pathtype = T_CustomScan;
	path->path.parent = rel;
	path->path.pathtarget = window->path.pathtarget;
	path->path.parallel_safe = rel->consider_parallel && below->parallel_safe;
	path->path.parallel_workers = below->parallel_workers;
	path->path.rows = below->rows;
	path->path.startup_cost = below->startup_cost;
	path->path.total_cost = below->total_cost + of_window * below->rows / Max(window->path.rows, 1);
	path->path.pathkeys = below->pathkeys;
	PathCopyDisabled(&path->path, below);
	path->flags = CUSTOMPATH_SUPPORT_PROJECTION;
	path->custom_paths = list_make1(below);
	path->custom_private = calls;
	path->methods = &PathMethods;
	return &path->path;
}

static bool
IsOurs(const Path *path)
{
	return IsA(path, CustomPath) && ((const CustomPath *) path)->methods == &PathMethods;
}

/* The rows as workers share them, where they may come in any order and workers may score them; else NULL. */
static Path *
SharedRows(PlannerInfo *root, const WindowAggPath *window, const RelOptInfo *input)
{
	Path	   *rows;

	if (!input->consider_parallel || input->partial_pathlist == NIL ||
		window->winclause->partitionClause != NIL || window->winclause->orderClause != NIL)
		return NULL;
	rows = linitial(input->partial_pathlist);
	return equal(rows->pathtarget->exprs, window->subpath->pathtarget->exprs) &&
		IsParallelSafe(root, window->path.pathtarget) ? rows : NULL;
}

/* Adds paths by workers beside that of a window.  There are two of them, as a list may free its own for a better one. */
static void
AddParallelPaths(PlannerInfo *root, const WindowAggPath *window, RelOptInfo *output, Path *below, List *calls)
{
	double		rows = window->path.rows;
	Path	   *path;

	output->consider_parallel = true;
	add_partial_path(output, MakePath(window, output, below, calls));
	path = MakePath(window, output, below, calls);
	add_path(output, (Path *) create_gather_path(root, output, path, path->pathtarget, NULL, &rows));
}

/*
 * Puts paths of our own into the place of those of windows.  That of the cheapest
 * rows is the first.
 */
static void
ReplaceWindows(PlannerInfo *root, const RelOptInfo *input, RelOptInfo *output)
{
	List	   *paths = output->pathlist;
	bool		is_first = true;
	ListCell   *cell;

	output->pathlist = NIL;
	foreach(cell, paths)
	{
		WindowAggPath *window = lfirst(cell);
		List	   *calls = CallsOf(&window->path);
		Path	   *shared = calls != NIL && is_first ? SharedRows(root, window, input) : NULL;

		if (shared != NULL)
			AddParallelPaths(root, window, output, shared, calls);
		add_path(output, calls == NIL ? &window->path : MakePath(window, output, window->subpath, calls));
		is_first &= calls == NIL;
	}
}

/* How many rows a query returns, as far as its text says it; -1: all, for all we know.  For the costs of sorting only. */
static double
RowsWanted(const Query *query)
{
	const Const *count = (const Const *) query->limitCount;
	const Const *offset = (const Const *) query->limitOffset;

	if (count == NULL || !IsA(count, Const) || count->constisnull)
		return -1;
	if (offset == NULL)
		return DatumGetInt64(count->constvalue);
	if (!IsA(offset, Const) || offset->constisnull)
		return -1;
	return (double) DatumGetInt64(count->constvalue) + DatumGetInt64(offset->constvalue);
}

/* Where scores are asked for in order, workers sort theirs: of the best few each sends no more. */
static void
AddSortedPath(PlannerInfo *root, RelOptInfo *input, RelOptInfo *output)
{
	PathTarget *target = root->upper_targets[UPPERREL_ORDERED];
	Path	   *path;
	double		rows;

	if (root->sort_pathkeys == NIL || input->partial_pathlist == NIL || !IsOurs(linitial(input->partial_pathlist)))
		return;
	path = linitial(input->partial_pathlist);
	rows = input->cheapest_total_path->rows;
	path = (Path *) create_sort_path(root, input, path, root->sort_pathkeys, RowsWanted(root->parse));
	path = (Path *) create_gather_merge_path(root, output, path, path->pathtarget, root->sort_pathkeys, NULL, &rows);
	if (path->pathtarget != target)
		path = apply_projection_to_path(root, output, path, target);
	add_path(output, path);
}

static void
CreateUpperPaths(PlannerInfo *root, UpperRelationKind stage, RelOptInfo *input, RelOptInfo *output, void *extra)
{
	if (NextHook != NULL)
		NextHook(root, stage, input, output, extra);
	if (!GucEnableScoreScan || !root->parse->hasWindowFuncs)
		return;
	if (stage == UPPERREL_WINDOW)
		ReplaceWindows(root, input, output);
	else if (stage == UPPERREL_ORDERED)
		AddSortedPath(root, input, output);
}

void
ScorePathInit(void)
{
	NextHook = create_upper_paths_hook;
	create_upper_paths_hook = CreateUpperPaths;
}
