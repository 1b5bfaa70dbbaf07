/*
 * model_store_read.c - names to versions, and the stored bytes of a version.
 *
 * Everything is read by index under the snapshot of the statement, so all rows
 * of a statement, parallel workers included, see one version.  A stored model
 * lies in parts of at most CATALOG_PART_BYTES:
 *
 *   moemlora.component (version_id, kind 'model', name '', part 0, 1, 2, ...)
 *
 * The parts are not trusted: numbers, sizes and checksums are verified here,
 * what they hold by mml_model_load().
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "port/pg_crc32c.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#include "byte_source.h"
#include "catalog.h"
#include "compat.h"

#define SLICE_BYTES 262144		/* of a part at a time */

/* The parts of one stored model, read one after the other. */
typedef struct PartStream
{
	CatalogScan scan;
	const ModelVersion *version;
	Snapshot	snapshot;
	uint64		left;			/* bytes not read yet, of all parts */
	int32		next_part;

	/* The part being read */
	ByteSource	part;
	Size		fetched;		/* of its bytes; = its size: it is verified */
	pg_crc32c	crc;			/* of those */
	int64		stored_crc;
	const char *bytes;			/* the last ones fetched, and not used yet */
	Size		n_bytes;
} PartStream;

bool
ModelRowFind(const char *name, Snapshot snapshot, ModelRow *row)
{
	CatalogScan scan;
	ScanKeyData key;
	HeapTuple	tuple;

	CatalogKeyText(&key, Anum_model_name, name);
	CatalogScanBegin(&scan, "model", "model_name_key", snapshot, 1, &key);
	tuple = CatalogScanNext(&scan);
	if (tuple != NULL)
	{
		row->id = DatumGetInt64(CatalogScanValue(&scan, tuple, Anum_model_id));
		row->owner = *DatumGetName(CatalogScanValue(&scan, tuple, Anum_model_owner));
		row->current_version = DatumGetInt32(CatalogScanValue(&scan, tuple, Anum_model_current_version));
		row->place = tuple->t_self;
	}
	CatalogScanEnd(&scan);
	pfree(DatumGetPointer(key.sk_argument));
	return tuple != NULL;
}

/* Fills *found from the row of moemlora.version; false when there is none. */
bool
ModelVersionFind(const ModelRow *model, int32 number, Snapshot snapshot, ModelVersion *found)
{
	CatalogScan scan;
	ScanKeyData keys[2];
	HeapTuple	tuple;

	CatalogKeyInteger(&keys[0], Anum_version_model_id, model->id);
	CatalogKeyNumber(&keys[1], Anum_version_number, number);
	CatalogScanBegin(&scan, "version", "version_model_id_number_key", snapshot, 2, keys);
	tuple = CatalogScanNext(&scan);
	if (tuple != NULL)
	{
		found->model_id = model->id;
		found->version_id = DatumGetInt64(CatalogScanValue(&scan, tuple, Anum_version_id));
		found->number = number;
		found->uuid = *DatumGetUUIDP(CatalogScanValue(&scan, tuple, Anum_version_uuid));
		found->bytes = (uint64) DatumGetInt64(CatalogScanValue(&scan, tuple, Anum_version_bytes));
		strlcpy(found->owner, NameStr(model->owner), sizeof(found->owner));
	}
	CatalogScanEnd(&scan);
	return tuple != NULL;
}

/* Raises. */
void
ModelVersionMissing(const char *name, int32 number, const ModelRow *model)
{
	ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
					errmsg("version %d of model \"%s\" does not exist", number, name),
					errdetail("Its current version is %d.", model->current_version),
					errhint("View moemlora.versions lists the versions of your models.")));
}

/* False when there is no such model; `number` 0 is the current version. */
static bool
FindModelVersion(const char *name, int32 number, Snapshot snapshot, ModelRight right, ModelVersion *found)
{
	ModelRow	model;

	if (!ModelRowFind(name, snapshot, &model))
		return false;
	ModelAccessCheck(model.id, name, NameStr(model.owner), right);
	if (number == 0)
		number = model.current_version;
	if (!ModelVersionFind(&model, number, snapshot, found))
		ModelVersionMissing(name, number, &model);
	return true;
}

/* Whether it looks like name@version, which some functions take. */
static bool
LooksLikeVersion(const char *name)
{
	const char *at = strrchr(name, '@');

	return at != NULL && at[1] != '\0' && strspn(at + 1, "0123456789") == strlen(at + 1);
}

/* Raises. */
void
ModelRowMissing(const char *name)
{
	ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
					errmsg("model \"%s\" does not exist", name),
					LooksLikeVersion(name) ?
					errhint("moemlora_compare() and moemlora_report() take name@version, versions from 1; elsewhere the version is an argument, or the current one.") :
					errhint("View moemlora.models lists the models that you may use.")));
}

/* Raises undefined_object when there is no such model or version. */
void
ModelStoreResolve(const char *name, int32 version, Snapshot snapshot, ModelRight right, ModelVersion *found)
{
	if (!FindModelVersion(name, version, snapshot, right, found))
		ModelRowMissing(name);
}

bool
ModelStoreFind(const char *name, Snapshot snapshot, ModelRight right, ModelVersion *found)
{
	return FindModelVersion(name, 0, snapshot, right, found);
}

/* A copy. */
Jsonb *
ModelStoreSpec(const ModelVersion *version, Snapshot snapshot)
{
	CatalogScan scan;
	ScanKeyData key;
	HeapTuple	tuple;
	Jsonb	   *spec;

	CatalogKeyInteger(&key, Anum_version_id, version->version_id);
	CatalogScanBegin(&scan, "version", "version_pkey", snapshot, 1, &key);
	tuple = CatalogScanNext(&scan);
	if (tuple == NULL)
		elog(ERROR, "version " INT64_FORMAT " has disappeared", version->version_id);
	spec = DatumGetJsonbPCopy(CatalogScanValue(&scan, tuple, Anum_version_spec));
	CatalogScanEnd(&scan);
	return spec;
}

/* The model's name for a message: "" when it is gone. */
static const char *
NameOfModel(int64 model_id, Snapshot snapshot)
{
	CatalogScan scan;
	ScanKeyData key;
	HeapTuple	tuple;
	const char *name = "";

	CatalogKeyInteger(&key, Anum_model_id, model_id);
	CatalogScanBegin(&scan, "model", "model_pkey", snapshot, 1, &key);
	tuple = CatalogScanNext(&scan);
	if (tuple != NULL)
		name = TextDatumGetCString(CatalogScanValue(&scan, tuple, Anum_model_name));
	CatalogScanEnd(&scan);
	return name;
}

/* Raises: the stored bytes of a version are not what was stored. */
static void
PartsDamaged(const PartStream *stream, const char *what)
{
	ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
					errmsg("stored model \"%s\", version %d, is damaged",
						   NameOfModel(stream->version->model_id, stream->snapshot), stream->version->number),
					errdetail("Part %d of its bytes %s.", stream->next_part, what),
					errhint("Restore table moemlora.component from a backup, or train the model again.")));
}

/* Finds the next part and verifies number and size. */
static void
OpenPart(PartStream *stream)
{
	HeapTuple	row = CatalogScanNext(&stream->scan);

	ByteSourceClose(&stream->part);
	if (row == NULL || DatumGetInt32(CatalogScanValue(&stream->scan, row, Anum_component_part)) != stream->next_part)
		PartsDamaged(stream, "is missing");
	ByteSourceOpen(&stream->part, CatalogScanValue(&stream->scan, row, Anum_component_data));
	stream->stored_crc = DatumGetInt64(CatalogScanValue(&stream->scan, row, Anum_component_crc));
	if (stream->part.size == 0 || stream->part.size > CATALOG_PART_BYTES || stream->part.size > stream->left)
		PartsDamaged(stream, "has a wrong size");
	stream->fetched = 0;
	INIT_CRC32C(stream->crc);
}

/* What was fetched of the part so far is all of it: verifies the checksum. */
static void
ClosePart(PartStream *stream)
{
	FIN_CRC32C(stream->crc);
	if ((int64) stream->crc != stream->stored_crc)
		PartsDamaged(stream, "has a wrong checksum");
	stream->next_part++;
}

/* Fetches the next bytes of the part: few enough to stay in the processor's cache until they are copied. */
static void
FetchSlice(PartStream *stream)
{
	stream->bytes = ByteSourceLook(&stream->part, stream->fetched, SLICE_BYTES, &stream->n_bytes);
	COMP_CRC32C(stream->crc, stream->bytes, stream->n_bytes);
	stream->fetched += stream->n_bytes;
	if (stream->fetched == stream->part.size)
		ClosePart(stream);
}

/* mml_reader's callback; the error is raised here, past the core. */
static mml_status
ReadParts(void *self, void *bytes, size_t n)
{
	PartStream *stream = self;
	char	   *target = bytes;

	if (n > stream->left)
		PartsDamaged(stream, "is missing");
	while (n > 0)
	{
		size_t		piece;

		if (stream->n_bytes == 0)
		{
			if (stream->fetched == stream->part.size)
				OpenPart(stream);
			FetchSlice(stream);
		}
		piece = Min(n, stream->n_bytes);
		memcpy(target, stream->bytes, piece);
		stream->bytes += piece;
		stream->n_bytes -= piece;
		stream->left -= piece;
		target += piece;
		n -= piece;
	}
	return MML_OK;
}

/* The core stopped in the middle of a part: whether its checksum is wrong says more than what the core met first. */
static void
VerifyRest(PartStream *stream)
{
	while (stream->fetched < stream->part.size)
		FetchSlice(stream);
}

/* What the core found wrong with the bytes says nothing of whose they are. */
static void
AddModelToDetail(mml_host *host, const ModelVersion *version, Snapshot snapshot)
{
	size_t		length = strlen(host->error.detail);

	snprintf(host->error.detail + length, sizeof(host->error.detail) - length, "%sModel \"%s\", version %d.",
			 length == 0 ? "" : " ", NameOfModel(version->model_id, snapshot), version->number);
}

static void
OpenParts(PartStream *stream, const ModelVersion *version, Snapshot snapshot)
{
	ScanKeyData keys[3];

	memset(stream, 0, sizeof(*stream));
	stream->version = version;
	stream->snapshot = snapshot;
	stream->left = version->bytes;
	CatalogKeyInteger(&keys[0], Anum_component_version_id, version->version_id);
	CatalogKeyText(&keys[1], Anum_component_kind, "model");
	CatalogKeyText(&keys[2], Anum_component_name, "");
	CatalogScanBegin(&stream->scan, "component", "component_pkey", snapshot, 3, keys);
}

/* All bytes are read: there must be no more of them. */
static void
CloseParts(PartStream *stream)
{
	if (stream->left > 0 || CatalogScanNext(&stream->scan) != NULL)
		PartsDamaged(stream, "does not belong to it");
	CatalogScanEnd(&stream->scan);
	ByteSourceClose(&stream->part);
}

/* The stored bytes of a version as a model in the memory of `host`. */
mml_model *
ModelStoreLoad(mml_host *host, const ModelVersion *version, Snapshot snapshot)
{
	PartStream	stream;
	mml_reader	reader = {.self = &stream, .total = version->bytes, .read = ReadParts};
	mml_model  *model = NULL;
	mml_status	status;

	OpenParts(&stream, version, snapshot);
	status = mml_model_load(host, &reader, &model);
	if (status != MML_OK)
	{
		VerifyRest(&stream);
		AddModelToDetail(host, version, snapshot);
	}
	BridgeCheck(host, status);
	CloseParts(&stream);
	return model;
}

/* Nothing is taken before it is known that they fit. */
bytea *
ModelStoreBytes(const ModelVersion *version, Snapshot snapshot)
{
	PartStream	stream;
	bytea	   *bytes;

	if (version->bytes > MODEL_VALUE_BYTES)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("model \"%s\", version %d, is too large for a value",
							   NameOfModel(version->model_id, snapshot), version->number),
						errdetail("It has " UINT64_FORMAT " bytes; a value has at most %zu.", version->bytes,
								  MODEL_VALUE_BYTES),
						errhint("Carry it over with pg_dump, or train a smaller one: with a lower embedding_dim, "
								"a higher min_count, or \"hash\" in columns.")));
	bytes = palloc(VARHDRSZ + version->bytes);
	SET_VARSIZE(bytes, VARHDRSZ + version->bytes);
	OpenParts(&stream, version, snapshot);
	(void) ReadParts(&stream, VARDATA(bytes), version->bytes);
	CloseParts(&stream);
	return bytes;
}
