/*
 * score_scan.h - private to score_path.c, score_scan.c and sql_score.c: plans
 * that score without a window.
 *
 * PostgreSQL's node for window functions keeps every row of a partition, with
 * all that the function's arguments are made of, and gives the functions of a
 * query to one process.  moemlora_score() needs none of that, as partition, order
 * and frame change no score.  So where a window has no other functions,
 * score_path.c puts a path of our own into the place of the window's, and beside
 * it one for parallel workers; score_scan.c is what executes them: it reads a
 * block of rows from the plan below, scores them, and returns them with their
 * scores.
 */
#ifndef MOEMLORA_SCORE_SCAN_H
#define MOEMLORA_SCORE_SCAN_H

#include "nodes/extensible.h"	/* for CustomScan */
#include "nodes/primnodes.h"	/* for WindowFunc */

/* What EXPLAIN and plans that go to workers call the node. */
#define SCORE_SCAN_NAME "MoemloraScore"

/* sql_score.c: whether that function is moemlora_score(), and which. */
extern bool IsScoreFunction(Oid function, bool *is_value);

/* score_scan.c: the same call as an ordinary function's. */
extern Expr *CallWithoutWindow(const WindowFunc *call);

/* score_path.c: sets the planner's hook. */
extern void ScorePathInit(void);

/* score_scan.c: tells the server the node's methods. */
extern void ScoreScanInit(void);

/*
 * Makes the state of a node.  custom_exprs: the arguments of its calls, three of
 * each; custom_scan_tlist: the columns of the plan below, and the calls;
 * custom_private: of each call an integer, 1 where its features are a row of a
 * table of which the plan below returns all columns, in order, first.
 */
extern const CustomScanMethods ScoreScanMethods;

#endif							/* MOEMLORA_SCORE_SCAN_H */
