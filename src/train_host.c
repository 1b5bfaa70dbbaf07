/*
 * train_host.c - what the core gets from the server while it trains.
 */
#include "postgres.h"

#include "shared_memory.h"
#include "train_host.h"

static void *
Allocate(void *self, size_t bytes)
{
	mml_host   *bridge = ((TrainHost *) self)->bridge;

	return bridge->allocate(bridge->self, bytes);
}

static void
Release(void *self, void *memory)
{
	mml_host   *bridge = ((TrainHost *) self)->bridge;

	bridge->release(bridge->self, memory);
}

static void *
Share(void *self, size_t bytes)
{
	return SharedMemoryTake(((TrainHost *) self)->shared, bytes);
}

static void
Unshare(void *self, void *memory)
{
	SharedMemoryGive(((TrainHost *) self)->shared, memory);
}

static bool
Poll(void *self)
{
	mml_host   *bridge = ((TrainHost *) self)->bridge;

	return bridge->poll(bridge->self);
}

static double
Seconds(void *self)
{
	mml_host   *bridge = ((TrainHost *) self)->bridge;

	return bridge->seconds(bridge->self);
}

static void
Report(void *self, const mml_epoch *epoch)
{
	TrainHost  *host = self;

	host->report(host->owner, epoch);
}

/* Every epoch goes to `report`. */
void
TrainHostInit(TrainHost *host, MemoryContext context, void (*report) (void *owner, const mml_epoch *epoch), void *owner)
{
	MemoryContext caller = MemoryContextSwitchTo(context);

	host->bridge = BridgeCreateHost(context, (Size) GucTrainingMemoryKb * 1024);
	host->shared = SharedMemoryCreate();
	host->report = report;
	host->owner = owner;
	host->host = *host->bridge;
	host->host.self = host;
	host->host.allocate = Allocate;
	host->host.release = Release;
	host->host.share = Share;
	host->host.unshare = Unshare;
	host->host.poll = Poll;
	host->host.seconds = Seconds;
	host->host.report = Report;
	MemoryContextSwitchTo(caller);
}

/* Raises what the core found wrong. */
void
CheckTrainingRows(TrainHost *host, mml_rows *rows, mml_status status, int64 row)
{
	if (likely(status == MML_OK))
		return;
	mml_rows_explain(rows, status);
	BridgeCheckValue(&host->host, status, row, NULL);
}
