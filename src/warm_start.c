/*
 * warm_start.c - option warm_start: the version that a training goes on from.
 *
 * The version that is current when the training begins: another one that is
 * promoted meanwhile comes too late for it.
 */
#include "postgres.h"

#include "nodes/value.h"
#include "utils/snapmgr.h"

#include "moemlora.h"

/* The current version, decoded in the memory of `host`; NULL, with a NOTICE, where there is no such model yet. */
mml_model *
WarmStartLoad(mml_host *host, const char *model_name, int32 *version)
{
	ModelVersion found;
	mml_model  *model = NULL;

	PushActiveSnapshot(GetLatestSnapshot());
	if (ModelStoreFind(model_name, GetActiveSnapshot(), MODEL_MANAGE, &found))
	{
		model = ModelStoreLoad(host, &found, GetActiveSnapshot());
		*version = found.number;
	}
	else
		ereport(NOTICE, (errmsg("option \"warm_start\" has no effect: model \"%s\" does not exist yet", model_name)));
	PopActiveSnapshot();
	return model;
}

/* The number of the feature of that name, or -1. */
static int
FindFeature(const mml_model *model, const char *name)
{
	mml_field_spec spec;
	int			i;

	for (i = 0; i < mml_model_features(model); i++)
	{
		mml_model_feature(model, i, &spec);
		if (strcmp(spec.name, name) == 0)
			return i;
	}
	return -1;
}

/*
 * Where the source's columns are the features of the version in another order,
 * their names in the version's order: a List of String nodes.  Else NIL.
 */
List *
WarmStartFeatures(const mml_model *model, const mml_field_spec *specs, int n_specs)
{
	List	   *names = NIL;
	mml_field_spec spec;
	bool		is_reordered = false;
	int			i;

	if (n_specs != mml_model_features(model))
		return NIL;
	for (i = 0; i < n_specs; i++)
	{
		int			place = FindFeature(model, specs[i].name);

		if (place < 0)
			return NIL;
		is_reordered |= place != i;
		mml_model_feature(model, i, &spec);
		names = lappend(names, makeString(pstrdup(spec.name)));
	}
	return is_reordered ? names : NIL;
}
