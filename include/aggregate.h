/*
 * aggregate.h - private to aggregate.c and the files of aggregates: what their
 * parts have in common.
 */
#ifndef MOEMLORA_AGGREGATE_H
#define MOEMLORA_AGGREGATE_H

#include "fmgr.h"

/* Where states live; raises when a part of an aggregate is called by itself. */
extern MemoryContext AggregateContext(FunctionCallInfo fcinfo);

/* A label of that type as a number in [0, 1]; raises for others. */
extern double LabelOfBool(Datum value);
extern double LabelOfFloat8(Datum value);
extern double LabelOfInt4(Datum value);

#endif							/* MOEMLORA_AGGREGATE_H */
