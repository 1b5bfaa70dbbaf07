/*
 * model_name.c - models by name and version, as in "ctr@3".
 */
#include "postgres.h"

#include "moemlora.h"

/* A model that is called as the whole goes first. */
const char *
ModelNameResolve(const char *given, Snapshot snapshot, ModelVersion *found)
{
	const char *at = strrchr(given, '@');
	size_t		n_digits = at == NULL ? 0 : strspn(at + 1, "0123456789");
	const char *name = given;
	int32		version = 0;

	if (ModelStoreFind(given, snapshot, MODEL_USE, found))
		return given;
	if (at != NULL && at != given && n_digits > 0 && n_digits <= 9 && at[1 + n_digits] == '\0' && atoi(at + 1) > 0)
	{
		name = pnstrdup(given, at - given);
		version = atoi(at + 1);
	}
	ModelStoreResolve(name, version, snapshot, MODEL_USE, found);
	return name;
}
