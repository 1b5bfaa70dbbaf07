/*
 * shared_memory.h - private to shared_memory.c, parallel_train.c and
 * sql_train.c: memory that the processes of a training share.
 */
#ifndef MOEMLORA_SHARED_MEMORY_H
#define MOEMLORA_SHARED_MEMORY_H

#include "storage/dsm.h"		/* for dsm_handle */

/* All pieces of one training; in the memory context that is current when it is made. */
typedef struct SharedMemory SharedMemory;

extern SharedMemory *SharedMemoryCreate(void);

/* A piece, zeroed; NULL where there is not as much.  Not in parallel mode. */
extern void *SharedMemoryTake(SharedMemory *memory, Size bytes);
extern void SharedMemoryGive(SharedMemory *memory, void *piece);

/* An address as another process can find it. */
typedef struct SharedPlace
{
	dsm_handle	handle;
	Size		offset;
} SharedPlace;

/* Of an address in one of the pieces. */
extern SharedPlace SharedMemoryPlace(const SharedMemory *memory, const void *address);

/* In the other process: where it is, mapped if it was not; and the end of the mapping, as often as one likes. */
extern void *SharedPlaceAddress(SharedPlace place);
extern void SharedPlaceDetach(SharedPlace place);

#endif							/* MOEMLORA_SHARED_MEMORY_H */
