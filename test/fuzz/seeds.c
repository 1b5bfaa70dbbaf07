/*
 * seeds.c - writes the seed corpus of fuzz_load.c: tiny models of every
 * backbone, gate and method.
 * usage: seeds DIRECTORY
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

static bool
write_file(const char *directory, const char *name, const unit_bytes *bytes)
{
	char		path[4096];
	FILE	   *file;
	bool		is_written;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "wb");
	if (file == NULL)
		return false;
	is_written = fwrite(bytes->at, 1, bytes->n, file) == bytes->n;
	return fclose(file) == 0 && is_written;
}

/* Trains on 80 rows, one epoch; name: of the file. */
static void
make_seed(const char *directory, const char *name, const char *options, uint32_t features)
{
	unit_host	unit;
	unit_data	data;
	mml_config	config;
	unit_bytes	bytes;

	unit_host_init(&unit);
	unit_config_init(&config);
	unit_data_init(&data);
	data.n_rows = 80;
	data.n_users = data.n_items = 3;
	data.n_domains = 3;
	data.features = features;
	unit_set_all(&config, "embedding_dim=2 min_domain_rows=20 epochs=1 attention_heads=1 attention_dim=2 cross_layers=1 attention_layers=1");
	config.n_hidden = 1;
	config.hidden[0] = 2;
	config.n_cin = 1;
	config.cin[0] = 2;
	unit_set_all(&config, options);
	unit_train_and_save(&unit, name, &config, &data, 1, &bytes);
	unit_check(bytes.n > 0 && write_file(directory, name, &bytes), "%s: no file", name);
	unit_bytes_free(&bytes);
}

int
main(int argc, char **argv)
{
	if (argc != 2)
	{
		fputs("usage: seeds DIRECTORY\n", stderr);
		return 2;
	}
	mml_init();
	for (int i = 0; i < mml_backbones(); i++)
	{
		char		options[64];

		snprintf(options, sizeof(options), "backbone=%s serve=gate", mml_backbone_name(i));
		make_seed(argv[1], mml_backbone_name(i), options, UNIT_AGE);
	}
	make_seed(argv[1], "kinds", "serve=gate", UNIT_ALL_KINDS | UNIT_AGE | UNIT_HASH);
	make_seed(argv[1], "input", "gate=input serve=gate experts_per_domain=2", UNIT_PRICE);
	make_seed(argv[1], "mlora", "method=mlora serve=own unknown_domain=mean", UNIT_TAGS);
	make_seed(argv[1], "backbone", "method=backbone unknown_domain=error", 0);
	return unit_done();
}
