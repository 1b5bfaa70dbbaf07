/*
 * aggregate.c - what the parts of the aggregates have in common.
 */
#include "postgres.h"

#include "aggregate.h"

MemoryContext
AggregateContext(FunctionCallInfo fcinfo)
{
	MemoryContext context;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "aggregate function called in non-aggregate context");
	return context;
}

static double
CheckLabel(double label)
{
	if (!(label >= 0.0 && label <= 1.0))
		ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
						errmsg("label must be between 0 and 1"),
						errdetail("A row has the label %.17g.", label)));
	return label;
}

double
LabelOfBool(Datum value)
{
	return DatumGetBool(value) ? 1.0 : 0.0;
}

double
LabelOfFloat8(Datum value)
{
	return CheckLabel(DatumGetFloat8(value));
}

double
LabelOfInt4(Datum value)
{
	return CheckLabel(DatumGetInt32(value));
}
