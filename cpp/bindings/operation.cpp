#include "operation.hpp"

#include <structmember.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>

namespace normfast::python {
namespace {

constexpr int kMost = 24;  // parameters

const Implementation* implementations;

struct Operation {
  PyObject_HEAD vectorcallfunc vectorcall;
  PyObject* dict;
  PyObject* definition;       // the function in Python
  PyObject* names;            // of all parameters
  PyObject* defaults[kMost];  // null: has to be given
  int parameters, positional;
  PyObject* (*run)(PyObject* const* arguments);
};

Operation& of(PyObject* self) { return *reinterpret_cast<Operation*>(self); }

// Names are interned, as a rule.
int position(const Operation& op, PyObject* name) {
  PyObject* const* const names = &PyTuple_GET_ITEM(op.names, 0);
  for (int i = 0; i < op.parameters; ++i) {
    if (names[i] == name) return i;
  }
  for (int i = 0; i < op.parameters; ++i) {
    if (PyUnicode_Compare(names[i], name) == 0) return i;
  }
  return op.parameters;
}

// Every parameter's argument, as the definition has it. False: it does not fit.
bool bind(const Operation& op, PyObject* const* given, Py_ssize_t count, PyObject* names,
          PyObject** arguments) {
  if (count > op.positional) return false;
  std::copy_n(given, count, arguments);
  std::copy(op.defaults + count, op.defaults + op.parameters, arguments + count);
  const Py_ssize_t named = names ? PyTuple_GET_SIZE(names) : 0;
  for (Py_ssize_t k = 0; k < named; ++k) {
    const int i = position(op, PyTuple_GET_ITEM(names, k));
    if (i == op.parameters || i < count) return false;
    arguments[i] = given[count + k];
  }
  return std::find(arguments, arguments + op.parameters, nullptr) == arguments + op.parameters;
}

PyObject* call(PyObject* self, PyObject* const* given, std::size_t flags, PyObject* names) {
  const Operation& op = of(self);
  PyObject* arguments[kMost];
  if (bind(op, given, PyVectorcall_NARGS(flags), names, arguments)) return op.run(arguments);
  // Python says what does not fit.
  PyObject* const nothing = PyObject_Vectorcall(op.definition, given, flags, names);
  if (!nothing) return nullptr;
  Py_DECREF(nothing);
  PyErr_SetString(PyExc_SystemError, "an operation's definition has changed");
  return nullptr;
}

const Implementation& find(const std::string& name, int parameters) {
  for (const Implementation* i = implementations; i->name; ++i) {
    if (i->name == name && i->parameters == parameters && parameters <= kMost) return *i;
  }
  throw py::import_error("no operation " + name + " of " + std::to_string(parameters) +
                         " parameters");
}

void define(Operation& op, py::handle definition) {
  const py::object code = definition.attr("__code__");
  const int positional = code.attr("co_argcount").cast<int>();
  const int parameters = positional + code.attr("co_kwonlyargcount").cast<int>();
  op.run = find(definition.attr("__name__").cast<std::string>(), parameters).run;
  op.parameters = parameters;
  op.positional = positional;
  py::tuple names = code.attr("co_varnames");
  const py::object last = definition.attr("__defaults__"),
                   named = definition.attr("__kwdefaults__");
  const int required = positional - static_cast<int>(last.is_none() ? 0 : py::len(last));
  for (int i = required; i < positional; ++i) {
    op.defaults[i] = py::object(last[py::int_(i - required)]).release().ptr();
  }
  for (int i = positional; i < parameters; ++i) {
    if (named.contains(names[i])) op.defaults[i] = py::object(named[names[i]]).release().ptr();
  }
  op.names = names.release().ptr();
  op.definition = definition.inc_ref().ptr();
  op.vectorcall = call;
  // Its name, its documentation, and __wrapped__, in which the signature is found.
  py::module_::import("functools")
      .attr("update_wrapper")(py::handle(reinterpret_cast<PyObject*>(&op)), definition);
}

PyObject* create(PyTypeObject* type, PyObject* arguments, PyObject* named) {
  PyObject* definition;
  if (named && PyDict_GET_SIZE(named) != 0) {
    PyErr_SetString(PyExc_TypeError, "operation() takes no keyword arguments");
    return nullptr;
  }
  if (!PyArg_ParseTuple(arguments, "O:operation", &definition)) return nullptr;
  PyObject* const self = type->tp_alloc(type, 0);
  if (!self) return nullptr;
  try {
    define(of(self), definition);
    return self;
  } catch (py::error_already_set& error) {
    error.restore();
  } catch (...) {
    py::detail::try_translate_exceptions();
  }
  Py_DECREF(self);
  return nullptr;
}

template <class Visit>
int visit_all(Operation& op, Visit visit) {
  int result = visit(op.dict);
  if (result == 0) result = visit(op.definition);
  if (result == 0) result = visit(op.names);
  for (int i = 0; i < kMost && result == 0; ++i) result = visit(op.defaults[i]);
  return result;
}

int traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  return visit_all(of(self), [&](PyObject* held) { return held ? visit(held, arg) : 0; });
}

int clear(PyObject* self) {
  return visit_all(of(self), [](PyObject*& held) {
    Py_CLEAR(held);
    return 0;
  });
}

void destroy(PyObject* self) {
  PyTypeObject* const type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  clear(self);
  type->tp_free(self);
  Py_DECREF(type);
}

// In a class it is a method, as any function.
PyObject* get(PyObject* self, PyObject* instance, PyObject*) {
  if (instance && instance != Py_None) return PyMethod_New(self, instance);
  return Py_NewRef(self);
}

PyObject* represent(PyObject* self) {
  return PyUnicode_FromFormat("<operation %R>", of(self).definition);
}

// It is pickled by its name.
PyObject* reduce(PyObject* self, PyObject*) { return PyObject_GetAttrString(self, "__qualname__"); }

}  // namespace

void define_operation(py::module_& m, const Implementation* table) {
  implementations = table;
  static PyMemberDef members[] = {
      {"__vectorcalloffset__", T_PYSSIZET, offsetof(Operation, vectorcall), READONLY, nullptr},
      {"__dictoffset__", T_PYSSIZET, offsetof(Operation, dict), READONLY, nullptr},
      {nullptr, 0, 0, 0, nullptr}};
  static PyMethodDef methods[] = {{"__reduce__", reduce, METH_NOARGS, nullptr},
                                  {nullptr, nullptr, 0, nullptr}};
  static PyGetSetDef properties[] = {
      {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, nullptr, nullptr},
      {nullptr, nullptr, nullptr, nullptr, nullptr}};
  const auto slot = [](int id, auto* function) {
    return PyType_Slot{id, reinterpret_cast<void*>(function)};
  };
  PyType_Slot slots[] = {slot(Py_tp_new, create),
                         slot(Py_tp_call, PyVectorcall_Call),
                         slot(Py_tp_traverse, traverse),
                         slot(Py_tp_clear, clear),
                         slot(Py_tp_dealloc, destroy),
                         slot(Py_tp_descr_get, get),
                         slot(Py_tp_repr, represent),
                         slot(Py_tp_members, members),
                         slot(Py_tp_methods, methods),
                         slot(Py_tp_getset, properties),
                         {0, nullptr}};
  constexpr unsigned flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL;
  PyType_Spec spec = {"normfast._core.operation", sizeof(Operation), 0, flags, slots};
  PyObject* const type = PyType_FromSpec(&spec);
  if (!type) throw py::error_already_set();
  m.attr("operation") = py::reinterpret_steal<py::object>(type);
}

}  // namespace normfast::python
