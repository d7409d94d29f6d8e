using System.Globalization;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

namespace LocalLlm.Extensions.AI;

/// <summary>Registers the host and the options of a generating or embedding model.</summary>
internal static class ModelRegistration
{
    /// <summary>The name of a model's options: the text of its key.</summary>
    public static string NameOf(object? key) => key is null ? Options.DefaultName : Convert.ToString(key, CultureInfo.InvariantCulture) ?? "";

    /// <summary>Adds options, their validation and a host.</summary>
    /// <param name="services">Where to register.</param>
    /// <param name="key">The key of all the model's services; null: not keyed.</param>
    /// <param name="section">The configuration section of the options; the options of a keyed model are in a subsection.</param>
    /// <param name="configure">Applied after the section.</param>
    /// <param name="create">Creates the host from a function that returns its options.</param>
    /// <returns>False if the model was already registered; the call then only configures it further.</returns>
    public static bool Add<THost, TEngine, TOptions>(IServiceCollection services, object? key, string section, Action<TOptions>? configure, Func<IServiceProvider, Func<TOptions>, THost> create)
        where THost : class, IModelHost<TEngine>, ILoadedModel, IHostedService
        where TEngine : class
        where TOptions : class, IModelOptions
    {
        var name = NameOf(key);
        // The section is applied before all code.
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
