using LocalLlm.Interop;
using Mono.Cecil;
using TorchSharp;
using Xunit;

namespace LocalLlm.Tests;

/// <summary>
/// No number is freed while an operation of libtorch reads it. TorchSharp's operators and short forms (<c>x + 1</c>, <c>x.add_(y)</c>)
/// create a <see cref="Scalar"/> but keep no reference to it while libtorch reads it. A garbage collection at that moment would free it.
/// </summary>
public class ScalarLifetimeTests
{
    [Fact]
    public void Operations_with_numbers_go_through_TensorMath()
    {
        var unsafeMethods = MethodsThatDropScalars();
        Assert.Contains("TorchSharp.torch/Tensor TorchSharp.torch/Tensor::add_(TorchSharp.torch/Tensor)", unsafeMethods);
        using var engine = ModuleDefinition.ReadModule(typeof(LlmEngine).Assembly.Location, new ReaderParameters { ReadSymbols = true });
        var found = new SortedSet<string>(StringComparer.Ordinal);
        foreach (var method in engine.GetTypes().SelectMany(type => type.Methods).Where(method => method.HasBody && !IsTensorMath(method.DeclaringType)))
        {
            foreach (var called in Calls(method))
            {
                if (called.DeclaringType.Scope.Name == "TorchSharp" && (unsafeMethods.Contains(called.GetElementMethod().FullName) || TakesScalar(called)))
                    found.Add($"{method.DeclaringType.Name}.{method.Name} calls {called.DeclaringType.Name}.{called.Name}; use or add what TensorMath has");
            }
        }

        Assert.True(found.Count == 0, string.Join('\n', found));
    }

    // The methods that create a scalar themselves, and the methods that call those.
    private static HashSet<string> MethodsThatDropScalars()
    {
        using var torch = ModuleDefinition.ReadModule(typeof(Scalar).Assembly.Location);
        var calls = torch.GetTypes().SelectMany(type => type.Methods).Where(method => method.HasBody && !IsScalar(method.DeclaringType) && method.DeclaringType.Name != nameof(ScalarExtensionMethods))
            .Select(method => (method.FullName, Called: Calls(method).ToList())).ToList();
        var found = calls.Where(method => method.Called.Exists(called => IsScalar(called.ReturnType) && called.Name is "op_Implicit" or nameof(ScalarExtensionMethods.ToScalar))).Select(method => method.FullName).ToHashSet();
        int before;
        do
        {
            before = found.Count;
            found.UnionWith(calls.Where(method => method.Called.Exists(called => found.Contains(called.GetElementMethod().FullName))).Select(method => method.FullName).ToList());
        }
        while (found.Count > before);
        return found;
    }

    private static IEnumerable<MethodReference> Calls(MethodDefinition method) => method.Body.Instructions.Select(instruction => instruction.Operand).OfType<MethodReference>();

    private static bool TakesScalar(MethodReference method) => !IsScalar(method.DeclaringType) && method.Parameters.Any(parameter => IsScalar(parameter.ParameterType));

    private static bool IsScalar(TypeReference type) => type.FullName == typeof(Scalar).FullName;

    private static bool IsTensorMath(TypeReference type) => type.Name == nameof(TensorMath) || (type.DeclaringType is { } outer && IsTensorMath(outer));
}
