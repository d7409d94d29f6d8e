using System.Globalization;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

namespace LocalLlm.Extensions.AI;

/// <summary>Registers the host of a model with its options, whatever the model makes.</summary>
internal static class ModelRegistration
{
    /// <summary>The name of a model's options: its key's text.</summary>
    public static string NameOf(object? key) => key is null ? Options.DefaultName : Convert.ToString(key, CultureInfo.InvariantCulture) ?? "";

    /// <summary>Adds options, their checks and a host.</summary>
    /// <param name="services">Where to register.</param>
    /// <param name="key">The key of all its services; null: they have none.</param>
    /// <param name="section">The configuration section of the options; of a keyed model, what it is below.</param>
    /// <param name="configure">Comes after the section.</param>
    /// <param name="create">Makes the host from what gives its options.</param>
    /// <returns>False: there was such a model already, and the call has only configured it further.</returns>
    public static bool Add<THost, TEngine, TOptions>(IServiceCollection services, object? key, string section, Action<TOptions>? configure, Func<IServiceProvider, Func<TOptions>, THost> create)
        where THost : class, IModelHost<TEngine>, ILoadedModel, IHostedService
        where TEngine : class
        where TOptions : class, IModelOptions
    {
        var name = NameOf(key);
        // The section comes before all code.
        var isFirst = !services.Any(service => service.ServiceType == typeof(THost) && Equals(service.ServiceKey, key));
        var options = services.AddOptions<TOptions>(name);
        if (isFirst)
            options.Configure<IServiceProvider>((target, provider) => provider.GetService<IConfiguration>()?.GetSection(key is null ? section : ConfigurationPath.Combine(section, name)).Bind(target));
        if (configure is not null)
            options.Configure(configure);
        if (!isFirst)
            return false;
        options.ValidateOnStart();
        services.TryAddEnumerable(ServiceDescriptor.Singleton<IValidateOptions<TOptions>>(new ModelOptionsValidator<TOptions>(section)));
        services.AddKeyedSingleton(key, (provider, _) => create(provider, () => provider.GetRequiredService<IOptionsMonitor<TOptions>>().Get(name)));
        services.AddKeyedSingleton<IModelHost<TEngine>>(key, (provider, _) => HostOf<THost>(provider, key));
        services.AddSingleton<IHostedService>(provider => HostOf<THost>(provider, key));
        return true;
    }

    /// <summary>Adds a health check of a model.</summary>
    /// <param name="checks">Where to register.</param>
    /// <param name="name">The check's name.</param>
    /// <param name="key">The model's key.</param>
    /// <param name="tags">Tags to filter by.</param>
    public static IHealthChecksBuilder AddHealthCheck<THost>(IHealthChecksBuilder checks, string name, object? key, string[] tags)
        where THost : class, ILoadedModel =>
        checks.Add(new(name, provider => new ModelHealthCheck(HostOf<THost>(provider, key)), failureStatus: null, tags));

    private static THost HostOf<THost>(IServiceProvider provider, object? key)
        where THost : class =>
        key is null ? provider.GetRequiredService<THost>() : provider.GetRequiredKeyedService<THost>(key);
}
