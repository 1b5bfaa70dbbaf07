/*
 * backbone.c - the table of backbones (MODELS.md section 2): one row each.
 */
#include <string.h>

#include "mml_layers.h"

/* In the order of their numbers, which stored models hold: only append. */
static const mml_backbone backbones[] = {
	{.name = "mlp",.is_available = true},
	{.name = "wdl",.is_available = true,.has_linear = true},
	{.name = "deepfm",.has_linear = true},
	{.name = "nfm",.has_linear = true},
	{.name = "pnn"},
	{.name = "dcn",.has_linear = true},
	{.name = "autoint",.has_linear = true},
	{.name = "xdeepfm",.has_linear = true},
	{.name = "fibinet",.has_linear = true},
};

#define N_BACKBONES ((int) (sizeof(backbones) / sizeof(backbones[0])))

/* The same names as a list of choices. */
const char *const mml_backbone_names[] = {
	"mlp", "wdl", "deepfm", "nfm", "pnn", "dcn", "autoint", "xdeepfm", "fibinet", NULL
};

int
mml_backbones(void)
{
	return N_BACKBONES;
}

const char *
mml_backbone_name(int backbone)
{
	return backbones[backbone].name;
}

bool
mml_backbone_is_available(int backbone)
{
	return backbones[backbone].is_available;
}

const mml_backbone *
mml_backbone_of(const mml_config *config)
{
	return &backbones[config->backbone];
}

int
mml_backbone_find(const char *name)
{
	for (int i = 0; i < N_BACKBONES; i++)
		if (strcmp(backbones[i].name, name) == 0)
			return i;
	return -1;
}

void
mml_init(void)
{
	mml_linalg_init();
}
