/*
 * shared_memory.c - memory that the processes of a training share: segments of
 * the server's dynamic shared memory, one for each piece.
 *
 * The segments belong to a memory context, which can outlive a transaction: its
 * end, so an error too, gives them back.
 */
#include "postgres.h"

#include "access/xact.h"
#include "storage/dsm.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "shared_memory.h"

struct SharedMemory
{
	MemoryContext context;
	MemoryContextCallback at_end;	/* of it */
	dsm_segment **segments;		/* [n]; NULL: given back */
	int			n;
	int			held;
};

/* The memory context's end. */
static void
GiveAll(void *self)
{
	SharedMemory *memory = self;
	int			i;

	for (i = 0; i < memory->n; i++)
	{
		if (memory->segments[i] != NULL)
			dsm_detach(memory->segments[i]);
	}
	memory->n = 0;
}

SharedMemory *
SharedMemoryCreate(void)
{
	SharedMemory *memory = palloc0(sizeof(SharedMemory));

	memory->context = CurrentMemoryContext;
	memory->at_end.func = GiveAll;
	memory->at_end.arg = memory;
	MemoryContextRegisterResetCallback(memory->context, &memory->at_end);
	return memory;
}

/*
 * A full file system of shared memory, or what else keeps the server from
 * making a segment, is an error; and an error may be caught in a subtransaction
 * only.  A cancel remains one.
 */
static dsm_segment *
CreateSegment(Size bytes)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	dsm_segment *volatile segment = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		segment = dsm_create(bytes, DSM_CREATE_NULL_IF_MAXSEGMENTS);
		if (segment != NULL)
			dsm_pin_mapping(segment);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		if (ERRCODE_TO_CATEGORY(geterrcode()) == ERRCODE_OPERATOR_INTERVENTION)
			PG_RE_THROW();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return segment;
}

void *
SharedMemoryTake(SharedMemory *memory, Size bytes)
{
	MemoryContext caller = MemoryContextSwitchTo(memory->context);
	dsm_segment *segment = CreateSegment(bytes);

	if (segment != NULL)
	{
		if (memory->n == memory->held)
		{
			memory->held = memory->held == 0 ? 16 : memory->held * 2;
			memory->segments = memory->segments == NULL ? palloc(memory->held * sizeof(dsm_segment *)) :
				repalloc(memory->segments, memory->held * sizeof(dsm_segment *));
		}
		memory->segments[memory->n++] = segment;
	}
	MemoryContextSwitchTo(caller);
	return segment == NULL ? NULL : dsm_segment_address(segment);
}

void
SharedMemoryGive(SharedMemory *memory, void *piece)
{
	int			i;

	for (i = 0; i < memory->n; i++)
	{
		if (memory->segments[i] != NULL && dsm_segment_address(memory->segments[i]) == piece)
		{
			dsm_detach(memory->segments[i]);
			memory->segments[i] = NULL;
			return;
		}
	}
	elog(ERROR, "a piece of shared memory is given back that was not taken");
}

SharedPlace
SharedMemoryPlace(const SharedMemory *memory, const void *address)
{
	SharedPlace place = {DSM_HANDLE_INVALID, 0};
	int			i;

	for (i = 0; i < memory->n; i++)
	{
		dsm_segment *segment = memory->segments[i];
		char	   *start = segment == NULL ? NULL : dsm_segment_address(segment);

		if (start == NULL || (const char *) address < start ||
			(const char *) address >= start + dsm_segment_map_length(segment))
			continue;
		place.handle = dsm_segment_handle(segment);
		place.offset = (const char *) address - start;
		return place;
	}
	elog(ERROR, "an address is not in shared memory");
	return place;
}

void *
SharedPlaceAddress(SharedPlace place)
{
	dsm_segment *segment = dsm_find_mapping(place.handle);

	if (segment == NULL)
		segment = dsm_attach(place.handle);
	if (segment == NULL)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("the leader of the training has gone")));
	return (char *) dsm_segment_address(segment) + place.offset;
}

void
SharedPlaceDetach(SharedPlace place)
{
	dsm_segment *segment = dsm_find_mapping(place.handle);

	if (segment != NULL)
		dsm_detach(segment);
}
