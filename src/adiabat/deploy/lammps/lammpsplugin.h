// What LAMMPS' plugin loader wants to see (its PLUGIN package, "Developer plugins" in its manual): our own declaration.
#pragma once

extern "C" {
typedef void *(*lammps_plugin_maker)(void *lammps);
typedef struct {
  const char *version, *style, *name, *info, *author;
  union {
    lammps_plugin_maker v1;
    void *(*v2)(void *, int, char **);
  } creator;
  void *handle;
} lammps_plugin;
typedef void (*lammps_plugin_register)(lammps_plugin *, void *lammps);
void lammpsplugin_init(void *lammps, void *handle, void *registers);
}
