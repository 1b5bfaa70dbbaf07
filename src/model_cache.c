/*
 * model_cache.c - decoded models of this session.
 *
 * A model is known by the uuid of its version, and the bytes of a version never
 * change: nothing here ever needs to be invalidated.  Each model lives in a
 * memory context of its own under "moemlora model cache".  When all models
 * together, with the towers that their scorers have folded, take more than
 * moemlora.cache_size, the least recently used ones leave; the one asked for
 * stays.
 */
#include "postgres.h"

#include "lib/ilist.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "moemlora.h"

#define KB ((uint64) 1024)
#define LEAST_BLOCK_ROWS 8

/* What the hash table holds. */
typedef struct CacheEntry
{
	pg_uuid_t	uuid;			/* must be first: the key */
	dlist_node	node;			/* in Cache.by_use */
	CachedModel *model;
	MemoryContext context;		/* all of the model's memory */
	uint64		bytes;			/* when it was last looked at */
} CacheEntry;

static struct
{
	MemoryContext context;
	HTAB	   *entries;
	dlist_head	by_use;			/* most recently used first */
	uint64		bytes;			/* sum over the entries */
	uint64		generation;
} Cache;

void
ModelCacheInit(void)
{
	HASHCTL		control;

	Cache.context = AllocSetContextCreate(TopMemoryContext, "moemlora model cache", ALLOCSET_DEFAULT_SIZES);
	memset(&control, 0, sizeof(control));
	control.keysize = sizeof(pg_uuid_t);
	control.entrysize = sizeof(CacheEntry);
	control.hcxt = Cache.context;
	Cache.entries = hash_create("moemlora models", 16, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	dlist_init(&Cache.by_use);
}

/* Scorers fold towers as they go, so an entry grows while it is used. */
static void
Recount(CacheEntry *entry)
{
	Cache.bytes -= entry->bytes;
	entry->bytes = (uint64) mml_model_bytes(entry->model->model) + mml_scorer_bytes(entry->model->scorer);
	Cache.bytes += entry->bytes;
}

static void
RecountAll(void)
{
	dlist_iter	iter;

	dlist_foreach(iter, &Cache.by_use)
		Recount(dlist_container(CacheEntry, node, iter.cur));
}

static void
Evict(CacheEntry *entry)
{
	pg_uuid_t	uuid = entry->uuid;

	Cache.generation++;
	Cache.bytes -= entry->bytes;
	dlist_delete(&entry->node);
	MemoryContextDelete(entry->context);
	hash_search(Cache.entries, &uuid, HASH_REMOVE, NULL);
}

/* Evicts until so many bytes more would fit; `keep` stays (NULL: nothing need stay). */
static void
MakeRoom(uint64 bytes, const CacheEntry *keep)
{
	uint64		limit = (uint64) GucCacheSizeKb * KB;

	while (!dlist_is_empty(&Cache.by_use) && (bytes > limit || Cache.bytes > limit - bytes))
	{
		CacheEntry *oldest = dlist_tail_element(CacheEntry, node, &Cache.by_use);

		if (oldest == keep)
			break;
		Evict(oldest);
	}
}

/* What the model itself leaves of the cache. */
static uint64
RoomBeside(const mml_model *model)
{
	uint64		limit = (uint64) GucCacheSizeKb * KB;
	uint64		taken = mml_model_bytes(model);

	return taken < limit ? limit - taken : 0;
}

/*
 * Gives the model a scorer in a context of its own in place of the one that it
 * has.  Until the scorer is complete the context belongs to the statement: an
 * error half-way leaves nothing behind.  Folded towers may take half of the
 * room beside the model, so that two models used in turn do not drive each
 * other out.
 */
static void
SetScorer(CachedModel *cached, MemoryContext parent, size_t capacity)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "moemlora model scorer", ALLOCSET_DEFAULT_SIZES);
	mml_host   *host = BridgeCreateHost(context, 0);
	mml_model_facts facts;
	mml_scorer *scorer;

	mml_model_get_facts(cached->model, &facts);
	BridgeCheck(host, mml_scorer_create(host, cached->model, facts.served, capacity,
										(size_t) (RoomBeside(cached->model) / 2), &scorer));
	MemoryContextSetParent(context, parent);
	if (cached->scorer_context != NULL)
		MemoryContextDelete(cached->scorer_context);
	cached->scorer_context = context;
	cached->host = host;
	cached->scorer = scorer;
}

/* Decodes a version in the given context. */
static CachedModel *
LoadModel(const ModelVersion *version, Snapshot snapshot, MemoryContext context)
{
	CachedModel *cached = MemoryContextAllocZero(context, sizeof(CachedModel));

	cached->uuid = version->uuid;
	cached->model = ModelStoreLoad(BridgeCreateHost(context, 0), version, snapshot);
	SetScorer(cached, context, 1);
	return cached;
}

/*
 * Until the model is complete, its context belongs to the statement: an error
 * half-way leaves nothing behind.
 */
static CacheEntry *
AddEntry(const ModelVersion *version, Snapshot snapshot)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "moemlora model", ALLOCSET_DEFAULT_SIZES);
	CachedModel *cached = LoadModel(version, snapshot, context);
	CacheEntry *entry = hash_search(Cache.entries, &version->uuid, HASH_ENTER, NULL);

	MemoryContextSetParent(context, Cache.context);
	entry->model = cached;
	entry->context = context;
	entry->bytes = 0;
	dlist_push_head(&Cache.by_use, &entry->node);
	return entry;
}

/* The decoded model of a version; good until the next call. */
CachedModel *
ModelCacheGet(const ModelVersion *version, Snapshot snapshot)
{
	CacheEntry *entry = hash_search(Cache.entries, &version->uuid, HASH_FIND, NULL);

	if (entry != NULL)
	{
		dlist_move_head(&Cache.by_use, &entry->node);
		Recount(entry);
	}
	else
	{
		RecountAll();
		MakeRoom(version->bytes, NULL);
		entry = AddEntry(version, snapshot);
		Recount(entry);
	}
	MakeRoom(0, entry);
	return entry->model;
}

/* The buffers of a block may take an eighth of the room beside the model. */
void
ModelCacheWiden(CachedModel *cached)
{
	CacheEntry *entry;
	uint64		n_rows;

	if (cached->is_wide)
		return;
	entry = hash_search(Cache.entries, &cached->uuid, HASH_FIND, NULL);
	n_rows = RoomBeside(cached->model) / 8 / mml_scorer_row_bytes(cached->scorer);
	SetScorer(cached, entry->context, Max(LEAST_BLOCK_ROWS, Min(n_rows, MODEL_BLOCK_ROWS)));
	cached->is_wide = true;
	Recount(entry);
	MakeRoom(0, entry);
}

uint64
ModelCacheGeneration(void)
{
	return Cache.generation;
}
