/*
 * parallel_train.c - trains on rows that were read, with parallel workers where
 * there are some: the core's program runs in the leader and in every worker, and
 * all meet at a barrier a few thousand times a second.
 *
 * Workers only compute.  What they work on lies in segments of shared memory
 * beside the parallel context's own, which holds the one structure below.  An
 * error in any process ends all: the server tells the leader, and the leader's
 * transaction ends the workers.
 */
#include "postgres.h"

#include <unistd.h>

#include "access/parallel.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "optimizer/cost.h"
#include "pgstat.h"
#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/wait_event.h"

#include "shared_memory.h"
#include "train_host.h"

#define KEY_TEAM 1
#define ROWS_PER_WORKER 25000	/* fewer train as fast without one */
#define SPINS 4000				/* some 50 us: a step's halves differ by less, waking up takes as long */

/* In the parallel context's segment. */
typedef struct Team
{
	int			size;			/* leader and workers; 0: not known yet */
	Size		own_memory;		/* that each may take for itself */
	pg_atomic_uint32 arrived;	/* at the barrier that comes next */
	pg_atomic_uint32 passed;	/* barriers */
	ConditionVariable changed;	/* passed, or size */
	SharedPlace image;			/* of the run */
	int			n_blocks;
	SharedPlace blocks[FLEXIBLE_ARRAY_MEMBER];
} Team;

PGDLLEXPORT void moemlora_train_worker(dsm_segment *segment, shm_toc *toc);

/* ----------------------------------------------------------------- barrier */

/*
 * Returns when all have called it.  Who comes last opens it for the others; they
 * spin for a moment before they sleep.
 */
static void
MeetTeam(void *self)
{
	Team	   *team = self;
	uint32		passed = pg_atomic_read_u32(&team->passed);
	int			i;

	if (pg_atomic_add_fetch_u32(&team->arrived, 1) == (uint32) team->size)
	{
		pg_atomic_write_u32(&team->arrived, 0);
		pg_atomic_fetch_add_u32(&team->passed, 1);
		ConditionVariableBroadcast(&team->changed);
		return;
	}
	for (i = 0; i < SPINS && pg_atomic_read_u32(&team->passed) == passed; i++)
		pg_spin_delay();
	while (pg_atomic_read_u32(&team->passed) == passed)
		ConditionVariableSleep(&team->changed, PG_WAIT_EXTENSION);
	ConditionVariableCancelSleep();
	pg_memory_barrier();
}

/* ------------------------------------------------------------------ worker */

/* Waits until the leader knows how many there are. */
static void
AwaitSize(Team *team)
{
	while (*(volatile int *) &team->size == 0)
		ConditionVariableSleep(&team->changed, PG_WAIT_EXTENSION);
	ConditionVariableCancelSleep();
	pg_memory_barrier();
}

static void
TakePart(Team *shared, mml_host *host)
{
	mml_team	team = {.rank = ParallelWorkerNumber + 1, .size = shared->size, .barrier = MeetTeam, .self = shared};
	void	  **blocks = palloc(shared->n_blocks * sizeof(void *));
	mml_run    *run;
	int			i;

	for (i = 0; i < shared->n_blocks; i++)
		blocks[i] = SharedPlaceAddress(shared->blocks[i]);
	BridgeCheck(host, mml_run_attach(host, blocks, shared->n_blocks, SharedPlaceAddress(shared->image), &run));
	BridgeCheck(host, mml_run_take_part(run, host, &team));
	mml_run_free(run);
	for (i = 0; i < shared->n_blocks; i++)
		SharedPlaceDetach(shared->blocks[i]);
}

/* The server's entry into a worker. */
void
moemlora_train_worker(dsm_segment *segment, shm_toc *toc)
{
	Team	   *team = shm_toc_lookup(toc, KEY_TEAM, false);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "moemlora train worker", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);

	(void) segment;
	AwaitSize(team);
	TakePart(team, BridgeCreateHost(context, team->own_memory));
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}

/* ------------------------------------------------------------------ leader */

/* Processors besides the one that the leader has: more processes than those only wait for each other. */
static int
CountIdleProcessors(void)
{
	return (int) Max(sysconf(_SC_NPROCESSORS_ONLN) - 1, 0);
}

/* How many workers to ask the server for. */
static int
CountWorkers(const TrainOptions *options, size_t n_rows)
{
	int			wanted = options->workers;

	if (wanted < 0)
		wanted = Min(Min((int) Min(n_rows / ROWS_PER_WORKER, INT_MAX), max_parallel_maintenance_workers),
					 CountIdleProcessors());
	return IsInParallelMode() ? 0 : Min(wanted, GucMaxWorkers);
}

/* The structure that all share, but for the size of the team. */
static Team *
CreateTeam(ParallelContext *context, const mml_run *run, const SharedMemory *memory, int n_blocks,
		   void *const *blocks, const void *image)
{
	Team	   *team = shm_toc_allocate(context->toc, offsetof(Team, blocks) + n_blocks * sizeof(SharedPlace));
	int			i;

	team->size = 0;
	team->own_memory = mml_run_own_bytes(run);
	pg_atomic_init_u32(&team->arrived, 0);
	pg_atomic_init_u32(&team->passed, 0);
	ConditionVariableInit(&team->changed);
	team->image = SharedMemoryPlace(memory, image);
	team->n_blocks = n_blocks;
	for (i = 0; i < n_blocks; i++)
		team->blocks[i] = SharedMemoryPlace(memory, blocks[i]);
	shm_toc_insert(context->toc, KEY_TEAM, team);
	return team;
}

/* Starts workers and tells them how many they are with the leader; returns that. */
static int
StartTeam(ParallelContext *context, Team *team)
{
	LaunchParallelWorkers(context);
	*(volatile int *) &team->size = context->nworkers_launched + 1;
	pg_memory_barrier();
	ConditionVariableBroadcast(&team->changed);
	if (context->nworkers_launched > 0)
		WaitForParallelWorkersToAttach(context);
	return team->size;
}

/* Whoever asked for workers hears that there are fewer. */
static void
TellSize(int asked, int got)
{
	if (got < asked)
		ereport(NOTICE, (errmsg_plural("training with %d process instead of %d",
									   "training with %d processes instead of %d", got, got, asked),
						 errhint("max_parallel_workers, max_worker_processes and the size of shared memory limit parallel workers.")));
}

/* What is said of a training once; level 0: it was said. */
typedef struct Telling
{
	int			level;			/* of how many train */
	int			asked;			/* processes */
} Telling;

static void
TellOnce(Telling *telling, const mml_run *run, int size)
{
	if (telling->level == 0)
		return;
	TellSize(telling->asked, size);
	ProgressTraining(telling->level, mml_run_rows(run), size, mml_run_bytes(run));
	telling->level = 0;
}

/* All processes that the run has memory for, or as many as the server can start. */
static void
RunTeam(mml_run *run, TrainHost *host, int size, Telling *telling)
{
	mml_team	team = {.rank = 0, .size = 1, .barrier = MeetTeam};
	void	   *const *blocks;
	const void *image;
	int			n_blocks = mml_run_blocks(run, &blocks, &image);
	ParallelContext *context;

	PushActiveSnapshot(GetTransactionSnapshot());
	EnterParallelMode();
	context = CreateParallelContext("$libdir/moemlora", "moemlora_train_worker", size - 1);
	shm_toc_estimate_chunk(&context->estimator, offsetof(Team, blocks) + n_blocks * sizeof(SharedPlace));
	shm_toc_estimate_keys(&context->estimator, 1);
	InitializeParallelDSM(context);
	if (context->seg != NULL && context->nworkers > 0)
	{
		Team	   *shared = CreateTeam(context, run, host->shared, n_blocks, blocks, image);

		team.self = shared;
		team.size = StartTeam(context, shared);
	}
	TellOnce(telling, run, team.size);
	BridgeCheck(&host->host, mml_run_take_part(run, &host->host, &team));
	if (context->nworkers_launched > 0)
		WaitForParallelWorkersToFinish(context);
	DestroyParallelContext(context);
	ExitParallelMode();
	PopActiveSnapshot();
}

/* To the end of the run, or to a pause. */
static void
RunOn(mml_run *run, TrainHost *host, int size, Telling *telling)
{
	static const mml_team alone = {.rank = 0, .size = 1};

	if (size > 1)
		RunTeam(run, host, size, telling);
	else
	{
		TellOnce(telling, run, 1);
		BridgeCheck(&host->host, mml_run_take_part(run, &host->host, &alone));
	}
}

/* Trains on the rows, with workers where it pays. */
mml_model *
TrainInParallel(TrainHost *host, mml_rows *rows, const TrainOptions *options, int told)
{
	const TrainPauses *pauses = host->pauses;
	Telling		telling = {.level = told, .asked = 1 + CountWorkers(options, mml_rows_count(rows))};
	int			size = telling.asked;
	mml_run    *run;
	mml_model  *model;

	BridgeCheck(&host->host, mml_run_create(&host->host, rows, &options->config, &size, &run));
	if (pauses != NULL)
	{
		if (pauses->pause != NULL)
			mml_run_set_pauses(run);
		if (!pauses->begin(pauses->self, run))
		{
			mml_run_free(run);
			return NULL;
		}
	}
	for (;;)
	{
		RunOn(run, host, size, &telling);
		if (mml_run_is_done(run))
			break;
		pauses->pause(pauses->self, run);
	}
	BridgeCheck(&host->host, mml_run_finish(run, &model));
	mml_run_free(run);
	return model;
}
