/*
 * model_store_history.c - what is stored beside a version: who trained it, when,
 * and how it went, epoch by epoch.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "utils/builtins.h"

#include "catalog.h"

/* A number, or NaN for NULL. */
static double
RealOf(CatalogScan *scan, HeapTuple row, AttrNumber column)
{
	bool		is_null;
	Datum		value = CatalogScanNullable(scan, row, column, &is_null);

	return is_null ? NAN : DatumGetFloat8(value);
}

/* A text, or NULL. */
static char *
TextOf(CatalogScan *scan, HeapTuple row, AttrNumber column)
{
	bool		is_null;
	Datum		value = CatalogScanNullable(scan, row, column, &is_null);

	return is_null ? NULL : TextDatumGetCString(value);
}

/* Types of the features' columns; NIL where one is not known. */
static List *
FeatureTypes(const ModelVersion *version, Snapshot snapshot)
{
	CatalogScan scan;
	ScanKeyData key;
	HeapTuple	row;
	List	   *types = NIL;
	bool		are_known = true;

	CatalogKeyInteger(&key, Anum_feature_version_id, version->version_id);
	CatalogScanBegin(&scan, "feature", "feature_pkey", snapshot, 1, &key);
	while ((row = CatalogScanNext(&scan)) != NULL)
	{
		types = lappend(types, TextOf(&scan, row, Anum_feature_sql_type));
		are_known = are_known && llast(types) != NULL;
	}
	CatalogScanEnd(&scan);
	return are_known ? types : NIL;
}

/* Durations of the phases; NaN where there is no row of one. */
static double *
PhaseSeconds(const ModelVersion *version, int n_phases, Snapshot snapshot)
{
	CatalogScan scan;
	ScanKeyData key;
	HeapTuple	row;
	double	   *seconds = palloc(Max(n_phases, 1) * sizeof(double));

	for (int i = 0; i < n_phases; i++)
		seconds[i] = NAN;
	CatalogKeyInteger(&key, Anum_phase_version_id, version->version_id);
	CatalogScanBegin(&scan, "phase", "phase_pkey", snapshot, 1, &key);
	while ((row = CatalogScanNext(&scan)) != NULL)
	{
		int			position = DatumGetInt32(CatalogScanValue(&scan, row, Anum_phase_position));

		if (position >= 1 && position <= n_phases)
			seconds[position - 1] = RealOf(&scan, row, Anum_phase_seconds);
	}
	CatalogScanEnd(&scan);
	return seconds;
}

void
ModelStoreHistory(const char *name, const ModelVersion *version, const mml_model *model, Snapshot snapshot,
				  VersionHistory *history)
{
	CatalogScan scan;
	ScanKeyData key;
	HeapTuple	row;
	ModelRow	found;

	CatalogKeyInteger(&key, Anum_version_id, version->version_id);
	CatalogScanBegin(&scan, "version", "version_pkey", snapshot, 1, &key);
	row = CatalogScanNext(&scan);
	if (row == NULL || !ModelRowFind(name, snapshot, &found))
		elog(ERROR, "version " INT64_FORMAT " has disappeared", version->version_id);
	history->is_current = found.current_version == version->number;
	history->created = DatumGetTimestampTz(CatalogScanValue(&scan, row, Anum_version_created));
	history->created_by = pstrdup(NameStr(*DatumGetName(CatalogScanValue(&scan, row, Anum_version_created_by))));
	history->seconds = RealOf(&scan, row, Anum_version_seconds);
	history->rows_left_out = DatumGetInt64(CatalogScanValue(&scan, row, Anum_version_rows_left_out));
	history->decision = TextOf(&scan, row, Anum_version_decision);
	history->decision_reason = TextOf(&scan, row, Anum_version_decision_reason);
	CatalogScanEnd(&scan);
	history->feature_types = FeatureTypes(version, snapshot);
	history->phase_seconds = PhaseSeconds(version, mml_model_phases(model), snapshot);
}

void
ModelStoreEpochs(const ModelVersion *version, Snapshot snapshot,
				 void (*take) (void *self, const StoredEpoch *epoch), void *self)
{
	CatalogScan scan;
	ScanKeyData key;
	HeapTuple	row;

	CatalogKeyInteger(&key, Anum_epoch_version_id, version->version_id);
	CatalogScanBegin(&scan, "epoch", "epoch_pkey", snapshot, 1, &key);
	while ((row = CatalogScanNext(&scan)) != NULL)
	{
		StoredEpoch epoch;
		bool		is_null;
		Datum		expert = CatalogScanNullable(&scan, row, Anum_epoch_expert, &is_null);

		CHECK_FOR_INTERRUPTS();
		epoch.run = DatumGetInt32(CatalogScanValue(&scan, row, Anum_epoch_run)) - 1;
		epoch.expert = is_null ? -1 : DatumGetInt32(expert);
		epoch.epoch = DatumGetInt32(CatalogScanValue(&scan, row, Anum_epoch_epoch));
		epoch.seconds = RealOf(&scan, row, Anum_epoch_seconds);
		epoch.train_logloss = RealOf(&scan, row, Anum_epoch_train_logloss);
		epoch.valid_logloss = RealOf(&scan, row, Anum_epoch_valid_logloss);
		epoch.valid_auc = RealOf(&scan, row, Anum_epoch_valid_auc);
		epoch.is_best = DatumGetBool(CatalogScanValue(&scan, row, Anum_epoch_is_best));
		take(self, &epoch);
	}
	CatalogScanEnd(&scan);
}
