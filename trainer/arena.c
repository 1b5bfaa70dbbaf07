/*
 * arena.c - memory through the host's allocator, and the arena of blocks that
 * the participants of a training share.
 *
 * Every piece of host memory carries a small head:
 *
 *   host's pointer        head (64 bytes before the piece)   piece
 *   |  up to 63 bytes  |  {host's pointer, bytes}          |  64-aligned ...
 */
#include <string.h>

#include "mml_math.h"

#define ALIGNMENT ((size_t) 64)
#define CLEAR_STEP ((size_t) 16 << 20)

typedef struct piece_head
{
	void	   *taken;			/* what the host gave */
	size_t		bytes;			/* counted against the limit */
	bool		is_shared;
} piece_head;

static piece_head *
head_of(void *memory)
{
	return (piece_head *) ((char *) memory - ALIGNMENT);
}

/* "812 kB", "1024 MB" */
static void
byte_text(char *buffer, size_t size, size_t bytes)
{
	uint64_t	kilobytes = (bytes + 1023) / 1024;

	if (kilobytes < 10240)
		mml_format(buffer, size, "%llu kB", (unsigned long long) kilobytes);
	else
		mml_format(buffer, size, "%llu MB", (unsigned long long) ((kilobytes + 1023) / 1024));
}

static mml_status
over_limit(mml_host *host, size_t bytes)
{
	char		needed[32];
	char		allowed[32];

	byte_text(needed, sizeof(needed), host->memory_used + bytes);
	byte_text(allowed, sizeof(allowed), host->memory_limit);
	(void) mml_fail(host, MML_LIMIT, "not enough memory allowed");
	mml_fail_detail(host, "At least %s are needed, %s are allowed.", needed, allowed);
	if (host->limit_hint != NULL)
		mml_fail_hint(host, "%s", host->limit_hint);
	return MML_LIMIT;
}

/* Zeroes in steps small enough to be cancelled between two of them. */
static mml_status
clear(mml_host *host, char *memory, size_t bytes)
{
	while (bytes > 0)
	{
		size_t		step = MML_MIN(bytes, CLEAR_STEP);

		memset(memory, 0, step);
		memory += step;
		bytes -= step;
		if (bytes > 0)
			MML_TRY(mml_poll(host));
	}
	return MML_OK;
}

static mml_status
out_of_memory(mml_host *host, size_t bytes)
{
	char		text[32];

	byte_text(text, sizeof(text), bytes);
	(void) mml_fail(host, MML_OUT_OF_MEMORY, "out of memory");
	mml_fail_detail(host, "Failed on request of %s.", text);
	return MML_OUT_OF_MEMORY;
}

/* A piece with its head, not zeroed. */
static mml_status
take_piece(mml_host *host, void **memory, size_t usable, bool is_shared)
{
	size_t		bytes = usable + 2 * ALIGNMENT;
	char	   *taken = NULL;
	uintptr_t	address;

	*memory = NULL;
	if (host->memory_limit != 0 &&
		(bytes > host->memory_limit || host->memory_used > host->memory_limit - bytes))
		return over_limit(host, bytes);
	if (!is_shared)
		taken = host->allocate(host->self, bytes);
	else if (host->share != NULL)
		taken = host->share(host->self, bytes);
	if (taken == NULL)
		return out_of_memory(host, bytes);
	address = ((uintptr_t) taken + 2 * ALIGNMENT - 1) & ~(uintptr_t) (ALIGNMENT - 1);
	*memory = (void *) address;
	head_of(*memory)->taken = taken;
	head_of(*memory)->bytes = bytes;
	head_of(*memory)->is_shared = is_shared;
	host->memory_used += bytes;
	host->memory_peak = MML_MAX(host->memory_peak, host->memory_used);
	return MML_OK;
}

mml_status
mml_alloc(mml_host *host, void **memory, size_t n, size_t size)
{
	*memory = NULL;
	if (size != 0 && n > (SIZE_MAX / 2) / size)
		return mml_fail(host, MML_LIMIT, "the amount of memory needed cannot be counted");
	MML_TRY(take_piece(host, memory, n * size, false));
	if (clear(host, *memory, n * size) != MML_OK)
	{
		mml_release(host, *memory);
		*memory = NULL;
		return MML_CANCELLED;
	}
	return MML_OK;
}

mml_status
mml_alloc_shared(mml_host *host, void **memory, size_t bytes)
{
	return take_piece(host, memory, bytes, true);
}

void
mml_release(mml_host *host, void *memory)
{
	if (memory == NULL)
		return;
	host->memory_used -= head_of(memory)->bytes;
	(head_of(memory)->is_shared ? host->unshare : host->release) (host->self, head_of(memory)->taken);
}

mml_status
mml_grow(mml_host *host, void **memory, size_t *held, size_t used, size_t n, size_t size)
{
	void	   *larger;
	size_t		wanted = MML_MAX(n, *held + *held / 2);

	if (n <= *held)
		return MML_OK;
	MML_TRY(mml_alloc(host, &larger, wanted, size));
	if (used > 0)
		memcpy(larger, *memory, used * size);
	mml_release(host, *memory);
	*memory = larger;
	*held = wanted;
	return MML_OK;
}

/* ------------------------------------------------------------------- arena */

void
mml_arena_init(mml_arena *arena, mml_host *host)
{
	memset(arena, 0, sizeof(*arena));
	arena->host = host;
	arena->next_size = MML_ARENA_FIRST_BLOCK;
}

void
mml_arena_free(mml_arena *arena)
{
	for (uint32_t i = 0; i < arena->n_blocks; i++)
		mml_release(arena->host, arena->block[i]);
	arena->n_blocks = 0;
}

uint32_t
mml_arena_mark(mml_arena *arena)
{
	/* the next piece starts a block */
	arena->last_used = arena->last_size;
	return arena->n_blocks;
}

void
mml_arena_rewind(mml_arena *arena, uint32_t n_blocks)
{
	while (arena->n_blocks > n_blocks)
	{
		char	   *block = arena->block[--arena->n_blocks];

		arena->bytes -= head_of(block)->bytes - 2 * ALIGNMENT;
		mml_release(arena->host, block);
	}
	arena->expected = 0;
	arena->last_used = arena->last_size;
}

/* Moves one block, in steps small enough to be cancelled between two of them. */
static mml_status
share_block(mml_arena *arena, uint32_t i)
{
	size_t		bytes = head_of(arena->block[i])->bytes - 2 * ALIGNMENT;
	void	   *memory;

	MML_TRY(mml_alloc_shared(arena->host, &memory, bytes));
	for (size_t at = 0; at < bytes; at += CLEAR_STEP)
	{
		memcpy((char *) memory + at, arena->block[i] + at, MML_MIN(bytes - at, CLEAR_STEP));
		if (mml_poll(arena->host) != MML_OK)
		{
			mml_release(arena->host, memory);
			return MML_CANCELLED;
		}
	}
	mml_release(arena->host, arena->block[i]);
	arena->block[i] = memory;
	return MML_OK;
}

mml_status
mml_arena_share(mml_arena *arena)
{
	mml_status	status = MML_OK;

	for (uint32_t i = 0; status == MML_OK && i < arena->n_blocks; i++)
		status = share_block(arena, i);
	arena->is_shared = status == MML_OK;
	return status == MML_OUT_OF_MEMORY || status == MML_LIMIT ? MML_OK : status;
}

void
mml_arena_expect(mml_arena *arena, size_t bytes)
{
	arena->expected = bytes;
}

/*
 * The most that a block may take beyond the piece that it is for: a quarter of
 * what the host still allows.  More would fail others for room that nobody has
 * asked for.
 */
static size_t
room_for_block(const mml_host *host)
{
	if (host->memory_limit == 0)
		return SIZE_MAX;
	return (host->memory_limit - MML_MIN(host->memory_used, host->memory_limit)) / 4;
}

/*
 * Blocks grow with the arena, by a quarter of it, up to the largest; a larger
 * piece gets a block of its own, and what is expected one for all of it.
 */
static mml_status
add_block(mml_arena *arena, size_t bytes)
{
	size_t		size = arena->expected > 0 ? arena->expected : MML_MIN(arena->next_size, room_for_block(arena->host));
	void	   *memory;

	size = MML_MAX(size, bytes);
	if (arena->n_blocks == MML_ARENA_BLOCKS)
		return mml_fail(arena->host, MML_LIMIT, "more than %d blocks of memory are needed", MML_ARENA_BLOCKS);
	if (arena->is_shared)
		arena->is_shared = mml_alloc_shared(arena->host, &memory, size) == MML_OK;
	if (!arena->is_shared)
		MML_TRY(mml_alloc(arena->host, &memory, size, 1));
	arena->expected = 0;
	arena->block[arena->n_blocks++] = memory;
	arena->last_size = size;
	arena->last_used = 0;
	arena->bytes += size;
	arena->next_size = MML_MIN(MML_MAX(arena->bytes / 4, MML_ARENA_FIRST_BLOCK), MML_ARENA_LARGEST_BLOCK);
	return MML_OK;
}

mml_status
mml_arena_alloc(mml_arena *arena, size_t n, size_t size, mml_ref *ref)
{
	size_t		bytes;

	memset(ref, 0, sizeof(*ref));
	if (size != 0 && n > (SIZE_MAX / 4) / size)
		return mml_fail(arena->host, MML_LIMIT, "the amount of memory needed cannot be counted");
	bytes = MML_MAX((n * size + ALIGNMENT - 1) & ~(ALIGNMENT - 1), ALIGNMENT);
	if (arena->last_size - arena->last_used < bytes)
		MML_TRY(add_block(arena, bytes));
	ref->block = arena->n_blocks;
	ref->offset = arena->last_used;
	arena->last_used += bytes;
	return MML_OK;
}

void *
mml_arena_at(const mml_arena *arena, mml_ref ref)
{
	if (ref.block == 0)
		return NULL;
	return arena->block[ref.block - 1] + ref.offset;
}

size_t
mml_arena_bytes(const mml_arena *arena)
{
	return arena->bytes;
}
