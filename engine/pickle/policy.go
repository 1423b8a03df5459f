package pickle

import (
	"fmt"
	"slices"
	"strings"

	"github.com/trimtab-ml/trimtab/internal/fault"
)

// Policy says what a pickle may import beside what is safe.
type Policy struct {
	Code  bool     // functions that cloudpickle brings along
	Allow []string // module.name, or module.* for all names of a module, that somebody looked at
	Plain bool     // it is loaded by pickle, not joblib: joblib's arrays would be read as instructions
}

// For is the policy of a kind of model: "sklearn", "lightgbm", "xgboost", "catboost", "torch" or, of MLflow, "pyfunc".
func For(kind string) Policy {
	switch kind {
	case "pyfunc":
		return Policy{Code: true, Plain: true} // a Python model is its author's code; the sandbox is what holds it
	case "torch":
		return Policy{Plain: true}
	}
	return Policy{}
}

// Refused is a file that imports what it may not.
type Refused struct {
	Imports []Import
	why     *fault.Error
}

// Error names the imports.
func (r *Refused) Error() string { return r.why.Error() }

// Unwrap gives the fault, which is fault.GateRefused.
func (r *Refused) Unwrap() error { return r.why }

// Check compares the imports with the policy. The error is a *Refused.
func (r Report) Check(p Policy) error {
	var bad []Import
	for _, i := range r.Imports {
		switch {
		case slices.Contains(p.Allow, i.String()), slices.Contains(p.Allow, i.Module+".*"):
		case i.Danger == Safe && !(p.Plain && i.Module == wrapper.module), i.Danger == Code && p.Code:
		default:
			bad = append(bad, i)
		}
	}
	if len(bad) == 0 {
		return nil
	}
	slices.SortStableFunc(bad, func(a, b Import) int { return grade(b.Danger) - grade(a.Danger) })
	names := make([]string, 0, 5)
	for _, i := range bad[:min(len(bad), 5)] {
		names = append(names, fmt.Sprintf("%s (%s)", i, i.Danger))
	}
	if len(bad) > 5 {
		names = append(names, fmt.Sprintf("and %d more", len(bad)-5))
	}
	why := fault.New(fault.GateRefused, "the pickle imports what models of its kind do not need: %s", strings.Join(names, ", ")).With("imports", bad)
	if bad[0].Danger == Dangerous {
		why.Hint = "do not load it unless you know who made it, and why it needs that"
	} else {
		why.Hint = "allow the names if you trust who made it, or save the model in a format without code: ONNX, LightGBM's text, XGBoost's JSON"
	}
	return &Refused{Imports: bad, why: why}
}

// danger grades an import.
func danger(module, name string) Danger {
	top, _, _ := strings.Cut(module, ".")
	for at := 0; at < len(module); {
		if i := strings.IndexByte(module[at:], '.'); i >= 0 {
			at += i
		} else {
			at = len(module)
		}
		if dangerousModules[module[:at]] {
			return Dangerous
		}
		at++
	}
	if names, ok := dangerousNames[module]; ok && slices.Contains(names, firstOf(name)) {
		return Dangerous
	}
	if module == "copyreg" && strings.HasPrefix(name, "extension") {
		return Dangerous
	}
	if top == "__torch__" {
		return Safe // classes of TorchScript, which its archive defines: no module of Python has the name
	}
	if strings.HasPrefix(module, "cloudpickle") {
		return Code
	}
	if names, ok := safeNames[module]; ok && slices.Contains(names, name) {
		return Safe
	}
	// A name with a dot goes through attributes: of a module to what it imported itself.
	if strings.Contains(name, ".") {
		return Unknown
	}
	if safeModules[module] {
		return Safe
	}
	for _, prefix := range libraries {
		if top == prefix && !slices.ContainsFunc(strings.Split(module, "."), func(part string) bool { return notModels[part] }) && isClass(name) {
			return Safe
		}
	}
	return Unknown
}

func firstOf(name string) string {
	first, _, _ := strings.Cut(name, ".")
	return first
}

// isClass tells a class from a function by its name, as these libraries write them, or knows the constructors that Cython generates.
func isClass(name string) bool {
	if strings.HasPrefix(name, "__pyx_unpickle_") {
		return true
	}
	name = strings.TrimLeft(name, "_")
	return name != "" && name[0] >= 'A' && name[0] <= 'Z' && !notClasses[name]
}

// libraries are those whose classes are models, or parts of them.
var libraries = []string{"sklearn", "lightgbm", "xgboost", "catboost", "imblearn", "category_encoders", "sklearn_pandas", "skopt", "mord", "ngboost", "mlflow"}

// notModels are parts of modules that hold no models: what they do is not for a pickle.
var notModels = map[string]bool{"externals": true, "datasets": true, "_testing": true, "tests": true, "conftest": true, "setup": true, "dask": true, "spark": true, "testing": true, "callback": true}

// notClasses begin like a class and are none, or are one that starts programs or opens files.
var notClasses = map[string]bool{"Popen": true, "Path": true, "PosixPath": true, "Memory": true, "Parallel": true, "Thread": true, "Process": true, "Pool": true}

var safeModules = map[string]bool{
	"scipy.special._ufuncs": true, "scipy.special._special_ufuncs": true,
}

var safeNames = map[string][]string{
	"builtins":                      {"set", "frozenset", "list", "dict", "tuple", "bytearray", "bytes", "complex", "float", "int", "bool", "str", "slice", "range", "object", "min", "max", "sum", "len", "abs", "round", "sorted", "NotImplemented", "Ellipsis"},
	"copyreg":                       {"_reconstructor", "__newobj__", "__newobj_ex__"},
	"collections":                   {"OrderedDict", "defaultdict", "Counter", "deque"},
	"datetime":                      {"datetime", "date", "time", "timedelta", "timezone"},
	"decimal":                       {"Decimal"},
	"fractions":                     {"Fraction"},
	"uuid":                          {"UUID"},
	"functools":                     {"partial"},
	"_codecs":                       {"encode"}, // bytes of protocols before 3
	"numpy":                         append([]string{"ndarray", "dtype", "generic", "number", "inexact", "floating", "integer", "matrix", "record", "recarray"}, numpyScalars...),
	"numpy.dtypes":                  {"StringDType", "Float64DType", "Float32DType", "Int64DType", "Int32DType", "ObjectDType", "BoolDType"},
	"numpy.core.multiarray":         {"_reconstruct", "scalar"},
	"numpy._core.multiarray":        {"_reconstruct", "scalar"},
	"numpy.core.numeric":            {"_frombuffer"},
	"numpy._core.numeric":           {"_frombuffer"},
	"numpy.core":                    {"_ufunc_reconstruct"},
	"numpy._core":                   {"_ufunc_reconstruct"},
	"numpy.core._multiarray_umath":  numpyFunctions,
	"numpy._core._multiarray_umath": numpyFunctions,
	"numpy.ma.core":                 {"MaskedArray", "_mareconstruct"},
	"numpy.random":                  {"RandomState", "Generator"},
	"numpy.random._pickle":          {"__randomstate_ctor", "__generator_ctor", "__bit_generator_ctor"},
	"numpy.random._mt19937":         {"MT19937"},
	"numpy.random._pcg64":           {"PCG64", "PCG64DXSM"},
	"numpy.random._philox":          {"Philox"},
	"numpy.random._sfc64":           {"SFC64"},
	"numpy.random.mtrand":           {"RandomState"},
	"numpy.random.bit_generator":    {"SeedSequence", "__pyx_unpickle_SeedSequence"},
	"joblib.numpy_pickle":           {"NumpyArrayWrapper"},
	"scipy.sparse":                  sparse,
	"scipy.sparse._csr":             sparse, "scipy.sparse._csc": sparse, "scipy.sparse._coo": sparse, "scipy.sparse._bsr": sparse, "scipy.sparse._dia": sparse, "scipy.sparse._dok": sparse, "scipy.sparse._lil": sparse,
	"scipy.sparse.csr": sparse, "scipy.sparse.csc": sparse, "scipy.sparse.coo": sparse,
	"scipy.interpolate":                               {"interp1d", "BSpline", "PchipInterpolator", "CubicSpline"},
	"scipy.interpolate._interpolate":                  {"interp1d"},
	"scipy.interpolate._bsplines":                     {"BSpline"},
	"scipy.interpolate.interpolate":                   {"interp1d"},
	"scipy.interpolate._cubic":                        {"CubicSpline", "PchipInterpolator"},
	"scipy.stats._distn_infrastructure":               {"rv_continuous_frozen", "rv_discrete_frozen", "rv_frozen"},
	"scipy.spatial._ckdtree":                          {"cKDTree"},
	"scipy.spatial._kdtree":                           {"KDTree"},
	"pandas":                                          {"DataFrame", "Series", "Index", "RangeIndex", "Categorical", "Timestamp", "StringDtype", "CategoricalDtype", "Int64Dtype", "Float64Dtype", "BooleanDtype", "DatetimeTZDtype"},
	"pandas.arrays":                                   {"StringArray", "IntegerArray", "FloatingArray", "BooleanArray"},
	"pandas.core.frame":                               {"DataFrame"},
	"pandas.core.series":                              {"Series"},
	"pandas.core.indexes.base":                        {"Index", "_new_Index"},
	"pandas.core.indexes.range":                       {"RangeIndex"},
	"pandas.core.indexes.numeric":                     {"Int64Index", "Float64Index", "UInt64Index"},
	"pandas.core.indexes.multi":                       {"MultiIndex"},
	"pandas.core.indexes.category":                    {"CategoricalIndex"},
	"pandas.core.internals.managers":                  {"BlockManager", "SingleBlockManager"},
	"pandas.core.internals.blocks":                    {"new_block"},
	"pandas._libs.internals":                          {"_unpickle_block", "BlockPlacement"},
	"pandas._libs.arrays":                             {"__pyx_unpickle_NDArrayBacked", "NDArrayBacked"},
	"pandas._libs.missing":                            {"NA", "_NA", "C_NAType"},
	"pandas.core.arrays.categorical":                  {"Categorical"},
	"pandas.core.arrays.string_":                      {"StringArray", "StringDtype"},
	"pandas.core.arrays.integer":                      {"IntegerArray", "Int64Dtype"},
	"pandas.core.dtypes.dtypes":                       {"CategoricalDtype"},
	"sklearn.neighbors._kd_tree":                      {"newObj"},
	"sklearn.neighbors._ball_tree":                    {"newObj"},
	"sklearn.metrics._dist_metrics":                   {"newObj"},
	"sklearn.metrics._scorer":                         {"_passthrough_scorer"},
	"sklearn.feature_selection._univariate_selection": {"f_classif", "f_regression", "chi2", "f_oneway", "r_regression"},
	"sklearn.feature_selection._mutual_info":          {"mutual_info_classif", "mutual_info_regression"},
	"sklearn.preprocessing._data":                     {"scale", "minmax_scale", "maxabs_scale", "robust_scale", "normalize", "binarize"},
	"sklearn.compose._column_transformer":             {"_is_empty_column_selection"},
	"sklearn.utils._bunch":                            {"Bunch"},
	"torch":                                           torchNames,
	"torch._utils":                                    {"_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3", "_rebuild_parameter", "_rebuild_qtensor", "_rebuild_sparse_tensor"},
	"torch._tensor":                                   {"Tensor", "_rebuild_from_type_v2"},
	"torch.nn.parameter":                              {"Parameter"},
	"torch.storage":                                   {"UntypedStorage", "TypedStorage"},
	"torch.jit._pickle":                               {"build_intlist", "build_tensorlist", "build_doublelist", "build_boollist", "build_tensor_from_id", "restore_type_tag"},
}

var numpyScalars = []string{"bool_", "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64", "complex64", "complex128", "str_", "bytes_", "object_",
	"void", "datetime64", "timedelta64", "longdouble", "intc", "uintc", "longlong", "ulonglong", "float_", "int_", "log1p", "log", "log2", "log10", "exp", "expm1", "sqrt", "cbrt", "square", "abs", "absolute", "sign",
	"sin", "cos", "tan", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "floor", "ceil", "rint", "reciprocal", "negative", "isnan", "isfinite", "mean", "median", "sum", "min", "max", "amin", "amax", "std", "var", "clip", "nan_to_num",
	"round", "power", "add", "subtract", "multiply", "divide", "maximum", "minimum", "ravel", "reshape", "squeeze", "asarray", "array"}

var numpyFunctions = []string{"_reconstruct", "scalar", "log1p", "log", "log2", "log10", "exp", "expm1", "sqrt", "cbrt", "square", "absolute", "sign", "sin", "cos", "tan", "arctan", "tanh", "floor", "ceil", "rint", "reciprocal", "negative"}

var sparse = []string{"csr_matrix", "csc_matrix", "coo_matrix", "bsr_matrix", "dia_matrix", "dok_matrix", "lil_matrix", "csr_array", "csc_array", "coo_array", "bsr_array", "dia_array", "dok_array", "lil_array"}

var torchNames = []string{"FloatStorage", "DoubleStorage", "HalfStorage", "LongStorage", "IntStorage", "ShortStorage", "CharStorage", "ByteStorage", "BoolStorage", "BFloat16Storage", "ComplexFloatStorage",
	"ComplexDoubleStorage", "Tensor", "Size", "device", "dtype", "float16", "float32", "float64", "bfloat16", "int8", "int16", "int32", "int64", "uint8", "bool", "strided", "contiguous_format", "per_tensor_affine"}

// dangerousModules run programs or code, open files or connections, or reach what does. A name without a dot counts for all below it.
var dangerousModules = modules(`os posix nt ntpath posixpath subprocess _posixsubprocess sys shutil socket _socket socketserver runpy pty tty imp importlib _frozen_importlib ctypes _ctypes cffi code codeop pickle _pickle cPickle dill marshal types
	webbrowser antigravity http urllib urllib2 urllib3 httplib requests aiohttp asyncio multiprocessing _multiprocessing threading _thread concurrent signal _signal tempfile pathlib io _io shelve dbm sqlite3 _sqlite3 pip pdb bdb cmd
	timeit cProfile profile pstats trace tracemalloc doctest unittest distutils setuptools site sitecustomize zipimport zipapp pkgutil inspect gc ssl smtplib ftplib poplib imaplib telnetlib nntplib xmlrpc idlelib lib2to3 venv ensurepip
	commands popen2 platform glob fileinput linecache tkinter turtledemo curses readline rlcompleter fcntl mmap resource select selectors crypt nis spwd pwd grp builtin ipykernel IPython joblib.memory joblib.parallel joblib.externals
	joblib._store_backends logging.config logging.handlers numpy.testing numpy.f2py numpy.distutils numpy.lib.npyio numpy.lib._npyio_impl numpy.ctypeslib numpy.memmap pandas.io pandas.eval pandas.core.computation torch.hub torch.serialization
	torch.utils torch.distributed torch.multiprocessing torch.package torch.jit.frontend torch._inductor torch._dynamo torch.testing flask django tornado twisted paramiko fabric invoke sh plumbum pexpect
	sklearn.datasets sklearn.utils._testing  test ast dis`)

func modules(text string) map[string]bool {
	out := map[string]bool{}
	for _, name := range strings.Fields(text) {
		out[name] = true
	}
	return out
}

// dangerousNames are functions of modules that are harmless otherwise.
var dangerousNames = map[string][]string{
	"builtins":                {"eval", "exec", "compile", "__import__", "open", "getattr", "setattr", "delattr", "globals", "locals", "vars", "input", "breakpoint", "help", "dir", "type", "super", "classmethod", "staticmethod", "property", "memoryview", "map", "filter", "apply", "execfile", "file", "reload"},
	"operator":                {"attrgetter", "methodcaller", "call"},
	"_operator":               {"attrgetter", "methodcaller", "call"},
	"functools":               {"reduce", "partialmethod", "singledispatch"},
	"_functools":              {"reduce"},
	"numpy":                   {"load", "loadtxt", "genfromtxt", "fromfile", "save", "savez", "savetxt", "memmap", "fromregex", "frompyfunc", "vectorize", "apply_along_axis", "apply_over_axes", "DataSource", "f2py", "testing", "ctypeslib", "lib", "core", "os", "sys", "distutils"},
	"pandas":                  {"read_pickle", "read_csv", "read_sql", "read_json", "read_html", "read_parquet", "read_excel", "eval", "io", "core", "compat"},
	"joblib":                  {"load", "dump", "Memory", "Parallel", "delayed", "wrap_non_picklable_objects"},
	"joblib.numpy_pickle":     {"load", "load_temporary_memmap", "NumpyUnpickler", "_unpickle", "NDArrayWrapper", "ZNDArrayWrapper"},
	"torch":                   {"load", "hub", "compile", "ops", "classes", "library", "save", "utils"},
	"torch.storage":           {"_load_from_bytes"},
	"torch.jit":               {"load", "script", "trace"},
	"sklearn":                 {"os", "sys", "externals"},
	"cloudpickle.cloudpickle": {"load", "loads"},
}
